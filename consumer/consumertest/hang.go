package consumertest

import (
	"fmt"
	"testing"
	"time"
)

// explainHang ends the tests with an explanation shortly before their time-out, unless the function
// that it returns is called before: nothing else can end a bubble whose clock stands still.
func (s *scenario) explainHang(t *testing.T, at point) (stop func()) {
	t.Helper()
	deadline, ok := t.Deadline()
	if !ok {
		return func() {}
	}
	left := time.Until(deadline)
	margin := min(left/2, 10*time.Second)
	ended := make(chan struct{})
	timer := time.AfterFunc(left-margin, func() {
		before := s.ticks.Load()
		select {
		case <-ended:
		case <-time.After(margin / 2):
			panic(s.hangText(at, s.ticks.Load() != before))
		}
	})
	return func() {
		close(ended)
		timer.Stop()
	}
}

// hangText says why the tests time out during the run for a point.
func (s *scenario) hangText(at point, isMoving bool) string {
	text := "consumertest: the tests time out in a run without faults"
	if at.fault != noFault {
		text = fmt.Sprintf("consumertest: the tests time out in the run for %q", at.String())
	}
	if isMoving {
		return fmt.Sprintf("%s, which goes on: test fewer events, lower Kit.Limit (%v by the clock of the bubble) if the handler retries or waits for long, "+
			"or raise go test -timeout", text, s.limit)
	}
	return text + " because the clock of the bubble stands still: a goroutine waits for something outside of the bubble, " +
		"such as an idle connection, a pool of connections, or a server that setup has made, or it computes: " +
		"make servers before, and give HTTP clients consumertest.Transport"
}
