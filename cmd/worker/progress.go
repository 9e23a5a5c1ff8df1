package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/onceish/onceish/internal/ndjson"
)

// publishProgress shows how far a change is, on a terminal only, and what went wrong.
type publishProgress struct {
	quiet bool

	mu  sync.Mutex
	w   io.Writer
	bar *progressbar.ProgressBar
}

// newProgress counts things that are done, such as events that are "published".
func newProgress(w io.Writer, quiet bool, done, things string) *publishProgress {
	return &publishProgress{w: w, quiet: quiet, bar: progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(w), progressbar.OptionSetVisibility(isTerminal(w) && !quiet),
		progressbar.OptionSetDescription(done), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(things),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionClearOnFinish(),
	)}
}

func (p *publishProgress) reportRefused(line int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.bar.Clear() // it is only to look at
	p.printLine("line %d: not stored: %v\n", line, err)
}

func (p *publishProgress) reportFailed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.bar.Clear() // it is only to look at
	p.printLine("%v\n", err)
}

func (p *publishProgress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.bar.Finish() // it is only to look at
}

func (p *publishProgress) showStored(n ndjson.Published) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.bar.Set(n.Stored) // it is only to look at
}

func (p *publishProgress) reportDone(n ndjson.Published, done, where string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.bar.Finish() // it is only to look at
	if p.quiet {
		return
	}
	p.printLine("%s %d %s%s", done, n.Stored, pluralNoun(n.Stored, "event"), where)
	if n.Duplicates > 0 {
		p.printLine(" (%d %s)", n.Duplicates, pluralNoun(n.Duplicates, "duplicate"))
	}
	if n.Refused > 0 {
		p.printLine(", %d %s not stored", n.Refused, pluralNoun(n.Refused, "line"))
	}
	p.printLine("\n")
}

func (p *publishProgress) printLine(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format, args...) // nobody else to tell
}

func pluralNoun(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
