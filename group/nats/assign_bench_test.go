package nats

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// BenchmarkHandOver moves a partition between two processes, each with a connection of its own: one
// drains, and the other one begins. It measures from the call of Drain to the begin of the other's
// Run.
func BenchmarkHandOver(b *testing.B) {
	s := natstest.Start(b, nil)
	ctx, cancel := context.WithCancel(b.Context())
	type moment struct {
		session int
		at      time.Time
	}
	begun := make(chan moment, 2)
	ended := make(chan error, 2)
	var sessions []*group.Session
	for range cap(ended) {
		session, err := group.Join(ctx, newStore(b, s.Connect(b), nil), "g", &group.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		sessions = append(sessions, session)
		go func() { ended <- session.Run(ctx) }()
	}
	assign := func(i int) *group.Assignment {
		a, err := sessions[i].Assign("t", 1, &group.AssignmentOptions{
			Logger: slog.New(slog.DiscardHandler),
			Run: func(ctx context.Context, _ *group.Ownership) {
				begun <- moment{i, time.Now()}
				<-ctx.Done()
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		return a
	}
	store := newStore(b, s.Connect(b), nil)
	assigned := []*group.Assignment{assign(0), assign(1)}
	owner := (<-begun).session
	var took []time.Duration
	for b.Loop() {
		for plans, err := group.Plans(ctx, store, "g"); err != nil || len(plans[0].Members) < 2; plans, err = group.Plans(ctx, store, "g") {
			time.Sleep(time.Millisecond) // the other one joins
		}
		began := time.Now()
		if err := assigned[owner].Drain(ctx); err != nil {
			b.Fatal(err)
		}
		next := <-begun
		took = append(took, next.at.Sub(began))
		<-assigned[owner].Done()
		assigned[owner] = assign(owner)
		owner = next.session
	}
	cancel()
	for range sessions {
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}
	slices.Sort(took)
	at := func(percent int) float64 { return float64(took[(len(took)-1)*percent/100].Microseconds()) / 1000 }
	b.ReportMetric(at(50), "median-ms")
	b.ReportMetric(at(99), "p99-ms")
}
