package acceptance

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestStreamRestoredByTheAPI: a restore changes the stream's time of creation and takes its
// consumers away. What was handled before is not run again, though its marks have expired, and
// what was not is.
func TestStreamRestoredByTheAPI(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		connect  func(t *testing.T) *nats.Conn
		replicas int
	}{
		"one server": {func(t *testing.T) *nats.Conn { t.Helper(); return natstest.Start(t, nil).Connect(t) }, 1},
		"a cluster":  {func(t *testing.T) *nats.Conn { t.Helper(); return natstest.StartCluster(t, nil).Servers[0].Connect(t) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc := c.connect(t)
			js, err := jetstream.New(nc)
			must(t, err)
			for _, s := range []string{"orders", "dead"} {
				_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: s, Subjects: []string{s + ".>"}, Replicas: c.replicas})
				must(t, err)
			}
			b, err := natsbus.New(nc, &natsbus.Options{Logger: slog.New(slog.DiscardHandler), APITimeout: patience / 8})
			must(t, err)
			t.Cleanup(b.Close)
			g := &restoredGroup{t: t, bus: b, runs: map[string]int{}}
			g.store, err = memdedupe.New(&memdedupe.Options{Now: g.now})
			must(t, err)
			g.handle(names("old-", 20))
			g.publish(names("late-", 5)) // after the group has drained
			g.later.Add(int64(8 * 24 * time.Hour))
			natstest.Backup(t, nc, "orders")(t)
			g.handle([]string{"last"})
			for _, id := range append(names("old-", 20), append(names("late-", 5), "last")...) {
				if n := g.runs[id]; n != 1 {
					t.Errorf("%s ran %d times, want once", id, n)
				}
			}
		})
	}
}

func names(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(prefix, i))
	}
	return out
}

// restoredGroup is a group whose store's clock is set.
type restoredGroup struct {
	t     *testing.T
	bus   *natsbus.Bus
	store *memdedupe.Store
	later atomic.Int64

	mu   sync.Mutex
	runs map[string]int
}

func (g *restoredGroup) now() time.Time { return time.Now().Add(time.Duration(g.later.Load())) }

func (g *restoredGroup) publish(ids []string) {
	g.t.Helper()
	for _, id := range ids {
		_, err := g.bus.Publish(g.t.Context(), bus.Event{ID: id, Topic: "orders.new"})
		must(g.t, err)
	}
}

// subscribe repeats what fails, as a program that is started again does: not every server of a
// cluster knows of a new stream at once.
func (g *restoredGroup) subscribe(h consumer.Handler) *consumer.Subscription {
	g.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		sub, err := consumer.SubscribeExactlyOnce(g.t.Context(), g.bus, "orders.>", "billing", g.store, h,
			&consumer.Options{Logger: slog.New(slog.DiscardHandler), Concurrency: 1})
		if err == nil {
			return sub
		}
		if time.Now().After(end) {
			g.t.Fatal(err)
		}
	}
}

// handle publishes events to a subscription, and drains it when they were handled.
func (g *restoredGroup) handle(ids []string) {
	g.t.Helper()
	last := make(chan struct{})
	sub := g.subscribe(func(_ context.Context, e bus.Event) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.runs[e.ID]++; e.ID == ids[len(ids)-1] {
			close(last)
		}
		return nil
	})
	g.publish(ids)
	select {
	case <-last:
	case <-time.After(time.Minute):
		g.t.Errorf("%s was not handled in a minute: %+v, %v", ids[len(ids)-1], sub.Stats(), sub.Healthy())
	}
	must(g.t, sub.Drain(context.WithoutCancel(g.t.Context())))
}
