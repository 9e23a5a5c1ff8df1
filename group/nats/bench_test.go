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

// BenchmarkPause pauses and resumes a group of eight members, each with a connection of its own.
func BenchmarkPause(b *testing.B) {
	s := natstest.Start(b, nil)
	ctx, cancel := context.WithCancel(b.Context())
	const members = 8
	ended := make(chan error, members)
	for range members {
		session, err := group.Join(ctx, newStore(b, s.Connect(b), nil), "g", &group.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		go func() { ended <- session.Run(ctx) }()
	}
	store := newStore(b, s.Connect(b), nil)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		r, err := group.Pause(ctx, store, "g", group.Request{})
		took = append(took, time.Since(began))
		if err != nil || len(r.Confirmed) != members {
			b.Fatalf("confirmed by %d: %v", len(r.Confirmed), err)
		}
		if _, err := group.Resume(ctx, store, "g", group.Request{}); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	for range members {
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}
	slices.Sort(took)
	at := func(percent int) float64 { return float64(took[(len(took)-1)*percent/100].Microseconds()) / 1000 }
	b.ReportMetric(at(50), "median-ms")
	b.ReportMetric(at(99), "p99-ms")
}
