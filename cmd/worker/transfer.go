package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// transferProgress shows how far a command is on its way through a stream or a file: on a terminal
// by a bar, elsewhere by a line every ten seconds.
type transferProgress struct {
	*publishProgress

	verb    string // "exported"
	watched bool   // by people
	begun   time.Time
	first   transferPoint
	lined   time.Time // when the last line was written
}

// transferPoint is how much was transferred, and where on the way that is.
type transferPoint struct {
	events int
	at     uint64
}

// linesEvery is how often a line is written where nobody watches.
const linesEvery = 10 * time.Second

const permille = 1000

func newTransferProgress(w io.Writer, quiet bool, verb string) *transferProgress {
	now := time.Now()
	p := &transferProgress{
		publishProgress: &publishProgress{w: w, quiet: quiet}, verb: verb, watched: isTerminal(w) && !quiet, begun: now, lined: now,
	}
	p.bar = progressbar.NewOptions(permille,
		progressbar.OptionSetWriter(w), progressbar.OptionSetVisibility(p.watched), progressbar.OptionSetPredictTime(false),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionClearOnFinish(),
	)
	return p
}

// show is called with how much was transferred, and how far the end is; 0: that is not known.
func (p *transferProgress) show(events int, at, end uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.first == (transferPoint{}) {
		p.first, p.begun = transferPoint{events: events, at: at}, now // what came before took a start
	}
	done := transferPoint{events: events, at: at}
	if p.watched {
		_ = p.bar.Set(p.permilleDone(at, end)) // it is only to look at
		p.bar.Describe(p.line(done, end, now))
		return
	}
	if !p.quiet && now.Sub(p.lined) >= linesEvery {
		p.lined = now
		p.printLine("%s\n", p.line(done, end, now))
	}
}

// permilleDone is less than all while there is something to come.
func (p *transferProgress) permilleDone(at, end uint64) int {
	if end <= p.first.at || at < p.first.at {
		return 0
	}
	return int(min(permille-1, float64(at-p.first.at)/float64(end-p.first.at)*permille))
}

// line is what was done, how fast, and how long the rest takes at that speed.
func (p *transferProgress) line(done transferPoint, end uint64, now time.Time) string {
	text := fmt.Sprintf("%s %d %s", p.verb, done.events, pluralNoun(done.events, "event"))
	took := now.Sub(p.begun)
	if took < time.Second || done.at <= p.first.at {
		return text
	}
	text += fmt.Sprintf(", %.0f a second", float64(done.events-p.first.events)/took.Seconds())
	if end > done.at {
		left := float64(took) / float64(done.at-p.first.at) * float64(end-done.at)
		text += fmt.Sprintf(", about %v left", time.Duration(left).Round(time.Second))
	}
	return text
}

// fileEnd is how long a regular file is, and how far it was read; 0 for anything else.
func fileEnd(in io.Reader) (at func() uint64, end uint64) {
	f, ok := in.(*os.File)
	if !ok {
		return func() uint64 { return 0 }, 0
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return func() uint64 { return 0 }, 0
	}
	return func() uint64 {
		offset, _ := f.Seek(0, io.SeekCurrent) // 0 is not known
		return uint64(max(0, offset))
	}, uint64(max(0, info.Size()))
}
