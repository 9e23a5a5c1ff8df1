package worker

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A signal that arrives twice, for the process and for its group, is one wish. A later one is the
// next, and what arrives after it is nobody's.
func TestSignalThatArrivesTwiceIsOneWish(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		after []time.Duration // the first signal
		want  []string
	}{
		"one":               {nil, []string{"end"}},
		"twice":             {[]time.Duration{ms}, []string{"end"}},
		"three times":       {[]time.Duration{ms, 499 * ms}, []string{"end"}},
		"again":             {[]time.Duration{500 * ms}, []string{"end", "hurry"}},
		"twice, then again": {[]time.Duration{ms, time.Hour}, []string{"end", "hurry"}},
	} {
		signals, released := make(chan os.Signal), make(chan struct{})
		times := make(chan time.Time)
		var done []string
		note := func(what string) func(os.Signal) {
			return func(os.Signal) { done = append(done, what) }
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			clock := func() time.Time { return <-times }
			watchSignals(signals, released, clock, note("end"), note("hurry"))
		}()
		first := time.Unix(1, 0)
		for _, after := range append([]time.Duration{0}, c.after...) {
			select {
			case signals <- syscall.SIGTERM:
				times <- first.Add(after)
			case <-ended: // too early, which is seen below
			}
		}
		close(released)
		<-ended
		if !slices.Equal(done, c.want) {
			t.Errorf("%s: %q; want %q", name, done, c.want)
		}
	}
}
