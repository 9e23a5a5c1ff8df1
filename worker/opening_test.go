package worker

import (
	"sync"
	"testing"

	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// Connections are shared by what runs beside a worker: whoever opens something first opens it for
// all.
func TestConnectionsAreOpenedOnceByManyAtATime(t *testing.T) {
	t.Parallel()
	c := connectTo(t, natstest.Start(t, nil).URL(), mongotest.Database(t).Name())
	var all sync.WaitGroup
	stores, groups := make([]any, 20), make([]any, 20)
	for i := range stores {
		all.Go(func() {
			stores[i], _ = c.Store(t.Context())
			groups[i], _ = c.GroupStore(t.Context())
			_, _, _ = c.StoreName(), c.Database(), c.Mongo()
			if err := c.PingStore(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range stores {
		if stores[i] == nil || stores[i] != stores[0] || groups[i] != groups[0] {
			t.Errorf("%d: store %v, groups %v", i, stores[i], groups[i])
		}
	}
}

// Who only looks makes no bucket, and keeps nobody else from making it.
func TestLookingForMarksMakesNoneAndForbidsNone(t *testing.T) {
	t.Parallel()
	c, err := Connect(t.Context(), &ConnectOptions{NATS: natstest.Start(t, nil).URL(), Provision: true})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	if err := c.PingStore(t.Context()); err == nil {
		t.Error("the store answers that was not made")
	}
	if _, err := c.Store(t.Context()); err != nil {
		t.Errorf("make it: %v", err)
	}
	must(t, c.PingStore(t.Context()))
}
