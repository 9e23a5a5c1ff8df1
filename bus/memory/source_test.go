package memory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
)

func numbered(n int) []bus.Event {
	es := make([]bus.Event, n)
	for i := range es {
		es[i] = bus.Event{ID: fmt.Sprint(i + 1), Topic: "a"}
	}
	return es
}

func subscribe(t *testing.T, b *membus.Bus) bus.Source {
	t.Helper()
	src, err := b.Subscribe(t.Context(), ">", "g", nil)
	check(t, err)
	return src
}

func fetch(t *testing.T, src bus.Source, asked, want int) []*bus.Delivery {
	t.Helper()
	ds, err := src.Fetch(t.Context(), asked)
	check(t, err)
	if len(ds) != want {
		t.Fatalf("Fetch(%d): %d deliveries; want %d", asked, len(ds), want)
	}
	return ds
}

func TestWhatWasAskedForIsHandedOverForASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, membus.Stream{Topics: []string{">"}})
		src, other := subscribe(t, b), subscribe(t, b)
		es := numbered(20)
		_, err := b.Publish(t.Context(), es[:1]...)
		check(t, err)
		fetch(t, src, 5, 1) // 4 stay asked for
		_, err = b.Publish(t.Context(), es[1:3]...)
		check(t, err)
		fetch(t, other, 5, 0) // they are src's
		fetch(t, src, 0, 2)   // and are not lost
		_, err = b.Publish(t.Context(), es[3:10]...)
		check(t, err)
		fetch(t, src, 0, 0) // its second is over
		fetch(t, other, 20, 7)
		fetch(t, src, 5, 0)
	})
}

func TestAGivenUpFetchStrandsWhatItIsHanded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, membus.Stream{Topics: []string{">"}})
		src, other := subscribe(t, b), subscribe(t, b)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		ds, err := src.Fetch(ctx, 3)
		if len(ds) != 0 || err != nil {
			t.Fatalf("Fetch: %d deliveries, %v", len(ds), err)
		}
		_, err = b.Publish(t.Context(), numbered(2)...)
		check(t, err)
		fetch(t, other, 2, 0)
		if ds, err := src.Fetch(ctx, 10); len(ds) != 2 || err != nil {
			t.Fatalf("Fetch under an ended ctx: %d deliveries, %v; want what was handed over", len(ds), err)
		}
		_, err = b.Publish(t.Context(), bus.Event{ID: "3", Topic: "a"})
		check(t, err)
		fetch(t, other, 1, 1) // an ended ctx asks for nothing
	})
}

func TestAFetchAsksOnlyForWhatIsMissing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, membus.Stream{Topics: []string{">"}})
		src := subscribe(t, b)
		es := numbered(40)
		_, err := b.Publish(t.Context(), es[0])
		check(t, err)
		fetch(t, src, 10, 1) // 9 open
		_, err = b.Publish(t.Context(), es[1])
		check(t, err)
		fetch(t, src, 10, 1) // one of them came, and two are added
		_, err = b.Publish(t.Context(), es[2:]...)
		check(t, err)
		fetch(t, src, 5, 9) // 8 of the first ask, 1 of the second
	})
}

func TestWaitingSourcesAreServedInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, membus.Stream{Topics: []string{">"}})
		got := make([][]*bus.Delivery, 3)
		for i := range got {
			src := subscribe(t, b)
			go func() { got[i], _ = src.Fetch(context.WithoutCancel(t.Context()), 2) }()
			synctest.Wait()
		}
		for _, e := range numbered(3) {
			_, err := b.Publish(t.Context(), e)
			check(t, err)
		}
		synctest.Wait()
		for i, ds := range got {
			if len(ds) != 1 || ds[0].Event.ID != fmt.Sprint(i+1) {
				t.Errorf("source %d was handed %d deliveries; want one, of event %d", i, len(ds), i+1)
			}
		}
	})
}

func TestTryFetchLeavesNothingAskedFor(t *testing.T) {
	t.Parallel()
	b := newBus(t, membus.Stream{Topics: []string{">"}})
	src, other := subscribe(t, b).(*membus.Source), subscribe(t, b)
	if ds, err := src.TryFetch(5); len(ds) != 0 || err != nil {
		t.Fatalf("TryFetch: %d deliveries, %v", len(ds), err)
	}
	_, err := b.Publish(t.Context(), numbered(2)...)
	check(t, err)
	fetch(t, other, 2, 2)
	for _, n := range []int{0, -1} {
		if ds, err := src.TryFetch(n); len(ds) != 0 || err != nil {
			t.Fatalf("TryFetch(%d): %d deliveries, %v", n, len(ds), err)
		}
	}
	check(t, b.DeleteGroup(">", "g"))
	if _, err := src.TryFetch(1); !errors.Is(err, bus.ErrConsumerLost) {
		t.Fatalf("TryFetch of a deleted group: %v", err)
	}
	check(t, src.Close(t.Context()))
	if _, err := src.TryFetch(1); !errors.Is(err, bus.ErrClosed) {
		t.Fatalf("TryFetch after Close: %v", err)
	}
}

func TestAnEndedCtxStoresAndMakesNothing(t *testing.T) {
	t.Parallel()
	b := newBus(t, membus.Stream{Topics: []string{">"}})
	ctx, cancel := context.WithCancel(t.Context())
	src := subscribe(t, b)
	cancel()
	receipts, err := b.Publish(ctx, numbered(2)...)
	if len(receipts) != 2 || !errors.Is(receipts[1].Err, context.Canceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("Publish: %+v, %v", receipts, err)
	}
	if _, err := b.Topic(ctx, "a", "g", bus.Start{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Topic: %v", err)
	}
	if _, err := b.Subscribe(ctx, "a", "g", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Subscribe: %v", err)
	}
	if _, err := src.Info(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Info: %v", err)
	}
	if info, err := b.Topic(t.Context(), "a", "g", bus.Start{}); err != nil || info.Known || info.First.Sequence != 0 {
		t.Errorf("Topic: %+v, %v; want nothing made, nothing stored", info, err)
	}
}

func TestPublishCopies(t *testing.T) {
	t.Parallel()
	b := newBus(t, membus.Stream{Topics: []string{">"}})
	e := bus.Event{ID: "1", Topic: "a", Data: []byte("before"), Headers: bus.Headers{"k": {"before"}}}
	_, err := b.Publish(t.Context(), e)
	check(t, err)
	copy(e.Data, "after!")
	e.Headers["k"][0] = "after"
	if got := fetch(t, subscribe(t, b), 1, 1)[0].Event; string(got.Data) != "before" || got.Headers.Get("k") != "before" {
		t.Fatalf("the publisher changed a stored event: %q, %v", got.Data, got.Headers)
	}
}

func TestAWaitingFetchHearsAtOnceThatItIsOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(t *testing.T, b *membus.Bus, src bus.Source) error
		want error
	}{
		"Close": {
			func(t *testing.T, _ *membus.Bus, src bus.Source) error { return src.Close(t.Context()) }, bus.ErrClosed,
		},
		"DeleteGroup": {
			func(_ *testing.T, b *membus.Bus, _ bus.Source) error { return b.DeleteGroup(">", "g") }, bus.ErrConsumerLost,
		},
		"DeleteGroup and Subscribe": {
			func(t *testing.T, b *membus.Bus, _ bus.Source) error {
				err := b.DeleteGroup(">", "g")
				subscribe(t, b)
				return err
			}, bus.ErrConsumerLost,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBus(t, membus.Stream{Topics: []string{">"}})
				src := subscribe(t, b)
				ended := make(chan error, 1)
				go func() {
					_, err := src.Fetch(context.WithoutCancel(t.Context()), 1)
					ended <- err
				}()
				synctest.Wait()
				began := time.Now()
				check(t, c.end(t, b, src))
				if err := <-ended; !errors.Is(err, c.want) || time.Since(began) != 0 {
					t.Errorf("Fetch: %v after %v; want %v at once", err, time.Since(began), c.want)
				}
				if err := src.Healthy(); !errors.Is(err, c.want) {
					t.Errorf("Healthy: %v; want %v", err, c.want)
				}
			})
		})
	}
}
