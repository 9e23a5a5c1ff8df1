package demo

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressEvery is how long nothing is said, at most, where there is no terminal.
const progressEvery = 10 * time.Second

// progressConsole reports how it goes: lines, and below them a bar on a terminal.
type progressConsole struct {
	w      io.Writer
	events int
	bar    *progressbar.ProgressBar // nil: it is no terminal

	begun, said time.Time // when it began, and when the latest line was written
}

func newProgressConsole(w io.Writer, live bool, events int) *progressConsole {
	now := time.Now()
	s := &progressConsole{w: w, events: events, begun: now, said: now}
	if live {
		s.bar = progressbar.NewOptions(events, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("effects"),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false), progressbar.OptionThrottle(50*time.Millisecond),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(40), progressbar.OptionSetElapsedTime(false))
	}
	return s
}

func (s *progressConsole) printLine(format string, args ...any) {
	s.said = time.Now()
	s.clearProgress()
	_, _ = fmt.Fprintf(s.w, "demo: "+format+"\n", args...) // nobody else to tell
	if s.showsBar() {
		_ = s.bar.RenderBlank() // it is only decoration, here and below
	}
}

// showProgress shows how many events have their effect: on the bar, else by a line now and then.
func (s *progressConsole) showProgress(done int) {
	if s.bar == nil && time.Since(s.said) >= progressEvery {
		s.printLine("%s of %s events have their effect after %v", groupDigits(done), groupDigits(s.events), time.Since(s.begun).Round(time.Second))
	}
	if s.showsBar() {
		_ = s.bar.Set(done)
	}
}

func (s *progressConsole) showsBar() bool { return s.bar != nil && !s.bar.IsFinished() }

func (s *progressConsole) clearProgress() {
	if s.showsBar() {
		_ = s.bar.Clear()
	}
}

// groupDigits writes a number with a comma between thousands.
func groupDigits(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
