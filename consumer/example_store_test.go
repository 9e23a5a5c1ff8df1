package consumer_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// marks is all that a store of your own has to be. dedupetest.Run tests it.
type marks struct {
	mu   sync.Mutex
	kept map[dedupe.Key]mark
}

type mark struct {
	dedupe.Record
	until time.Time
}

func (s *marks) Seen(_ context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := make([]dedupe.Record, len(keys)) // zero: fresh
	for i, key := range keys {
		if m := s.kept[key]; time.Now().Before(m.until) {
			records[i] = m.Record
		}
	}
	return records, nil
}

func (s *marks) Mark(_ context.Context, ms []dedupe.Mark) ([]error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range ms {
		s.kept[m.Key] = mark{dedupe.Record{State: m.State, Hash: m.Hash}, time.Now().Add(m.TTL)}
	}
	return make([]error, len(ms)), nil // none was refused
}

// Mode SeenMark does with a store of two methods. Two copies at the same time may both run; one
// that comes later does not.
func ExampleMode() {
	ctx := context.Background()
	store := &marks{kept: make(map[dedupe.Key]mark)}
	for process := range 2 {
		b, err := membus.New(nil) // a bus that knows nothing of what was published before
		if err != nil {
			fmt.Println(err)
			return
		}
		last := fmt.Sprint("order ", process+1)
		done := make(chan struct{})
		sub, err := consumer.SubscribeExactlyOnce(ctx, b, "order.placed", "billing", store,
			func(_ context.Context, e bus.Event) error {
				fmt.Println("charging for", e.ID)
				if e.ID == last {
					close(done)
				}
				return nil
			}, &consumer.Options{Mode: consumer.SeenMark, Concurrency: 1, Logger: quiet})
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, id := range []string{"order 1", last} {
			if _, err := b.Publish(ctx, bus.Event{ID: id, Topic: "order.placed"}); err != nil {
				fmt.Println(err)
			}
		}
		<-done
		fmt.Println("drained:", sub.Drain(ctx))
	}
	// Output:
	// charging for order 1
	// drained: <nil>
	// charging for order 2
	// drained: <nil>
}
