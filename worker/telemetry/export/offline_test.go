package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
)

// connect opens connections whose bus and marks are on the server.
func connect(tb testing.TB, s *natstest.Server) *worker.Connections {
	tb.Helper()
	c, err := worker.Connect(tb.Context(), &worker.ConnectOptions{NATS: s.URL(), Provision: true, Logger: slog.New(slog.DiscardHandler)})
	must(tb, err)
	tb.Cleanup(func() { _ = c.Close() }) // the server may be down
	return c
}

// A scrape is of what is in memory: with all servers away, and with calls of them that hang, it is
// answered at once.
func TestScrapeIsAnsweredWhileEverythingIsDown(t *testing.T) {
	s := natstest.Start(t, nil)
	c := connect(t, s)
	r := newRig(t, c, "127.0.0.1:0")
	handled := make(chan struct{}, 3)
	r.worker.Handle("order.placed", func(context.Context, bus.Event) error {
		handled <- struct{}{}
		return nil
	}, &consumer.Options{Drain: 100 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.worker.Run(ctx) }()
	<-r.started
	for i := range 3 {
		_, err := c.Bus().Publish(t.Context(), bus.Event{ID: fmt.Sprint(i), Topic: "order.placed"})
		must(t, err)
		<-handled
	}
	const counted = `onceish_deliveries_total{group="billing",outcome="handled",topic="order.placed"} 3`
	r.awaitScrape(t, counted)
	s.Stop()
	begun := time.Now()
	text := r.scrape(t)
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %v", took)
	}
	for _, want := range []string{counted, `onceish_in_flight{group="billing",topic="order.placed"} 0`, `onceish_members{group="billing"} 1`, "onceish_build_info{"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s", want)
		}
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, consumer.ErrDrainIncomplete) {
		t.Log("without servers the worker ended with:", err)
	}
}

// Everything that is published over the worker's connections is counted, dead letters too, until
// the worker has ended.
func TestWhatIsPublishedIsCounted(t *testing.T) {
	c := connect(t, natstest.Start(t, nil))
	r := newRig(t, c, "127.0.0.1:0")
	r.worker.Handle("order.placed", func(ctx context.Context, e bus.Event) error {
		if _, err := r.worker.Bus().Publish(ctx, bus.Event{ID: e.ID, Topic: "order.placed.seen"}); !errors.Is(err, bus.ErrNoStream) {
			t.Errorf("published where there is no stream: %v", err)
		}
		return consumer.Permanent(errors.New("no"))
	}, nil)
	end := r.run(t)
	_, err := c.Bus().Publish(t.Context(), bus.Event{ID: "1", Topic: "order.placed"})
	must(t, err)
	for _, want := range []string{
		`destination_name="order.placed",messaging_operation_name="send",messaging_operation_type="send",messaging_system="nats"} 1`,
		`error_type="no_stream",messaging_destination_name="order.placed.seen",`,
		`destination_name="dead.billing",messaging_operation_name="send",messaging_operation_type="send",messaging_system="nats"} 1`,
		`onceish_dead_letters_total{group="billing",reason="permanent",topic="order.placed"} 1`,
	} {
		r.awaitScrape(t, want)
	}
	must(t, end())
	b, ok := c.Bus().(*natsbus.Bus)
	if !ok {
		t.Fatalf("the bus is a %T", c.Bus())
	}
	if _, err := b.Publish(t.Context(), bus.Event{ID: "2", Topic: "order.placed"}); err != nil {
		t.Error("published after the worker has ended:", err)
	}
}
