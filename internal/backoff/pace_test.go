package backoff

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceIsKeptAfterAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := Pace{PerSecond: 10}
		for _, pause := range []time.Duration{0, time.Hour} {
			time.Sleep(pause)
			began := time.Now()
			for range 5 {
				if err := p.Await(t.Context(), 2); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took != 800*time.Millisecond {
				t.Errorf("after a pause of %v, 10 in 5 steps began within %v; want 0.8 s", pause, took)
			}
			time.Sleep(time.Second)
		}
		why := errors.New("why")
		for _, p := range []*Pace{{}, {PerSecond: 1, next: time.Now().Add(time.Hour)}} {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(why)
			if err := p.Await(ctx, 1); !errors.Is(err, why) {
				t.Errorf("after the end of ctx: %v, want its cause", err)
			}
		}
	})
}
