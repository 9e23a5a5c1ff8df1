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

// show reports how it goes: lines, and below them a bar on a terminal.
type show struct {
	w      io.Writer
	events int
	bar    *progressbar.ProgressBar // nil: it is no terminal

	begun, said time.Time // when it began, and when the latest line was written
}

func newShow(w io.Writer, live bool, events int) *show {
	now := time.Now()
	s := &show{w: w, events: events, begun: now, said: now}
	if live {
		s.bar = progressbar.NewOptions(events, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("effects"),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false), progressbar.OptionThrottle(50*time.Millisecond),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(40), progressbar.OptionSetElapsedTime(false))
	}
	return s
}

func (s *show) say(format string, args ...any) {
	s.said = time.Now()
	live := s.bar != nil && !s.bar.IsFinished()
	if live {
		_ = s.bar.Clear() // it is only decoration, here and below
	}
	_, _ = fmt.Fprintf(s.w, "demo: "+format+"\n", args...)
	if live {
		_ = s.bar.RenderBlank()
	}
}

// progress shows how many events have their effect: on the bar, else by a line now and then.
func (s *show) progress(done int) {
	if s.bar == nil && time.Since(s.said) >= progressEvery {
		s.say("%s of %s events have their effect after %v", grouped(done), grouped(s.events), time.Since(s.begun).Round(time.Second))
	}
	if s.bar != nil && !s.bar.IsFinished() {
		_ = s.bar.Set(done)
	}
}

func (s *show) done() {
	if s.bar != nil && !s.bar.IsFinished() {
		_ = s.bar.Clear()
	}
}

// grouped writes a number with a comma between thousands.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}
