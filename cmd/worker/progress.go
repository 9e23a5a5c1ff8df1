package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/onceish/onceish/worker/lines"
)

// progress tells people how far publishing is, on a terminal only, and what went wrong.
type progress struct {
	quiet bool

	mu  sync.Mutex
	w   io.Writer
	bar *progressbar.ProgressBar
}

func newProgress(w io.Writer, quiet bool) *progress {
	return &progress{w: w, quiet: quiet, bar: progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(w), progressbar.OptionSetVisibility(terminal(w) && !quiet),
		progressbar.OptionSetDescription("publishing"), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionClearOnFinish(),
	)}
}

func (p *progress) refused(line int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.bar.Clear() // it is only to look at
	p.printf("line %d: not stored: %v\n", line, err)
}

func (p *progress) stored(n lines.Published) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.bar.Set(n.Stored) // it is only to look at
}

func (p *progress) done(n lines.Published, topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.bar.Finish() // it is only to look at
	if p.quiet {
		return
	}
	p.printf("published %d %s to %s", n.Stored, plural(n.Stored, "event"), topic)
	if n.Duplicates > 0 {
		p.printf(" (%d %s)", n.Duplicates, plural(n.Duplicates, "duplicate"))
	}
	if n.Refused > 0 {
		p.printf(", %d %s not stored", n.Refused, plural(n.Refused, "line"))
	}
	p.printf("\n")
}

func (p *progress) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format, args...) // nobody else to tell
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
