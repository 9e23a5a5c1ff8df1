package worker

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/outbox"
)

// A stream that has lost its events still knows their ids for a while: what is republished is
// stored all the same.
func TestRepublishStoresWhatAStreamLost(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := natsbus.New(nc, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	q := newOutbox(t)
	drained := func() uint64 {
		d, err := outbox.NewDrainer(q, b, &outbox.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		run, stop := d.Actor()
		var running sync.WaitGroup
		running.Go(func() {
			if err := run(); err != nil {
				t.Error(err)
			}
		})
		for d.Stats().Sent < 2 {
			time.Sleep(time.Millisecond) // a real server
		}
		stop(nil)
		running.Wait()
		info, err := s.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Msgs
	}
	addTo(t.Context(), t, q, bus.Event{ID: "1", Topic: "t"}, bus.Event{ID: "2", Topic: "t", Key: "k"})
	if n := drained(); n != 2 {
		t.Fatalf("%d messages of 2", n)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := q.Republish(t.Context(), "t", outbox.Moment{Ago: time.Hour}, outbox.Moment{}); err != nil || n != 2 {
		t.Fatalf("%d rows, %v", n, err)
	}
	if n := drained(); n != 2 {
		t.Errorf("%d messages of 2 that were lost", n)
	}
}
