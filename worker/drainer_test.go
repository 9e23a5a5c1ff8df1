package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

func newOutbox(t *testing.T) *memoutbox.Queue {
	t.Helper()
	q, err := memoutbox.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func addTo(ctx context.Context, t *testing.T, q *memoutbox.Queue, events ...bus.Event) {
	t.Helper()
	if _, err := q.Add(ctx, events...); err != nil {
		t.Error(err)
	}
}

func drain(t *testing.T, w *Worker, q outbox.Queue, o *outbox.Options) *outbox.Drainer {
	t.Helper()
	d, err := w.AddDrainer(q, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// published are the ids of a topic's events, in order.
func published(t *testing.T, b *membus.Bus, topic string) (ids []string) {
	t.Helper()
	s, err := b.Subscribe(t.Context(), topic, "inspector", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(t.Context()) }()
	ds, err := s.Fetch(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		ids = append(ids, d.Event.ID)
	}
	return ids
}

// A worker may do nothing but drain, and needs no dedupe store then.
func TestDrainerWithoutSubscriptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, q := newRig(t, 0), newOutbox(t)
		for i := range 50 {
			addTo(t.Context(), t, q, bus.Event{ID: fmt.Sprint(i), Topic: "t", Key: "k"})
		}
		r.store = nil
		w := r.worker(t, Options{UntilEmpty: true})
		w.conns = Over(r.bus, nil)
		d := drain(t, w, q, nil)
		if err := w.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		ids := published(t, r.bus, "t")
		for i, id := range ids {
			if id != fmt.Sprint(i) {
				t.Fatalf("published in the order %v", ids)
			}
		}
		if len(ids) != 50 || !strings.Contains(r.log.String(), `msg="outbox drained" outbox=outbox sent=50`) {
			t.Errorf("%d published\n%s", len(ids), &r.log)
		}
		if err := d.Healthy(); err == nil {
			t.Error("it is healthy after its end")
		}
	})
}

// slow is a bus that takes its time to confirm.
type slow struct{ bus.Bus }

func (s slow) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	time.Sleep(time.Second)
	return s.Bus.Publish(ctx, events...)
}

// Rows of handlers are published, and what is published is handled, before the worker is empty.
func TestUntilEmptyWaitsForTheOutbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, q := newRig(t, 1), newOutbox(t)
		w := r.worker(t, Options{UntilEmpty: true})
		w.conns = Over(slow{r.bus}, r.store)
		hops := 0
		hop := func(to string) consumer.Handler {
			return func(ctx context.Context, e bus.Event) error {
				if hops++; hops < 20 {
					addTo(ctx, t, q, bus.Event{ID: e.ID + "'", Topic: to})
				}
				return nil
			}
		}
		w.Handle("t", hop("u"), nil)
		w.Handle("u", hop("t"), nil)
		drain(t, w, q, nil)
		if err := w.Run(t.Context()); err != nil || hops != 20 {
			t.Errorf("%d hops, want 20 (%v)", hops, err)
		}
	})
}

// Nobody waits for rows behind a dead one.
func TestUntilEmptyDoesNotWaitForDeadRows(t *testing.T) {
	t.Parallel()
	for _, o := range []outbox.Options{{}, {AfterDead: outbox.GoOn}} {
		synctest.Test(t, func(t *testing.T) {
			b, err := membus.New(&membus.Options{Streams: []membus.Stream{{Name: "small", Topics: []string{">"}, MaxBytes: 1000}}})
			if err != nil {
				t.Fatal(err)
			}
			r, q := newRig(t, 0), newOutbox(t)
			r.bus = b
			addTo(t.Context(), t, q, bus.Event{ID: "big", Topic: "t", Key: "k", Data: make([]byte, 2000)}, bus.Event{ID: "behind", Topic: "t", Key: "k"})
			w := r.worker(t, Options{UntilEmpty: true})
			d := drain(t, w, q, &o)
			if err := w.Run(t.Context()); !errors.Is(err, ErrUndone) {
				t.Fatalf("%v, want %v", err, ErrUndone)
			}
			if s := d.Stats(); s.Dead != 1 || s.Sent != uint64(o.AfterDead) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The drainer goes on while the last handlers finish, and gives its partitions back
// before Run returns.
func TestDrainerOutlivesSubscriptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, q := newRig(t, 1), newOutbox(t)
		ctx, cancel := context.WithCancel(t.Context())
		w := r.worker(t, Options{})
		w.Handle("t", func(ctx context.Context, _ bus.Event) error {
			cancel()
			time.Sleep(5 * time.Second)
			addTo(ctx, t, q, bus.Event{ID: "late", Topic: "u"})
			time.Sleep(5 * time.Second)
			return nil
		}, nil)
		drain(t, w, q, &outbox.Options{Owner: "first"})
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if ids := published(t, r.bus, "u"); len(ids) != 1 {
			t.Errorf("%v was published, want the row that the last handler added", ids)
		}
		leases, err := q.Acquire(t.Context(), "second", time.Minute)
		if err != nil || len(leases) != outbox.DefaultPartitions {
			t.Errorf("%d partitions were given back, want %d (%v)", len(leases), outbox.DefaultPartitions, err)
		}
	})
}

// closed is a bus whose connection is.
type closed struct{ bus.Bus }

func (closed) Publish(_ context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	rs := make([]bus.Receipt, len(events))
	for i := range rs {
		rs[i].Err = bus.ErrClosed
	}
	return rs, bus.ErrClosed
}

// A drainer that ends by itself ends the worker.
func TestClosedBusEndsTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, q := newRig(t, 0), newOutbox(t)
		w := r.worker(t, Options{})
		w.conns = Over(closed{r.bus}, nil)
		addTo(t.Context(), t, q, bus.Event{ID: "1", Topic: "t"})
		drain(t, w, q, nil)
		if err := w.Run(t.Context()); !errors.Is(err, bus.ErrClosed) || !strings.Contains(r.log.String(), `msg="drainer of outbox ended"`) {
			t.Errorf("%v, want %v\n%s", err, bus.ErrClosed, &r.log)
		}
	})
}

func TestDrainersOptionsAreChecked(t *testing.T) {
	t.Parallel()
	w := newRig(t, 0).worker(t, Options{})
	if _, err := w.AddDrainer(newOutbox(t), &outbox.Options{Lease: 1}); err == nil || !strings.Contains(err.Error(), "Lease") {
		t.Errorf("%v", err)
	}
	if status := ExitStatus(fmt.Errorf("x: %w", outbox.ErrDrainIncomplete)); status != 3 {
		t.Errorf("exit status %d, want 3", status)
	}
}

// bare is a bus that has streams for the topics that were asked about.
type bare struct {
	bus.Bus

	streams map[string]bool
}

func (b bare) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	if strings.HasPrefix(topic, "no.") {
		return bus.TopicInfo{}, bus.ErrNoStream
	}
	b.streams[topic] = true
	return b.Bus.Topic(ctx, topic, group, from)
}

func (b bare) Publish(_ context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	rs := make([]bus.Receipt, len(events))
	for i := range events {
		if !b.streams[events[i].Topic] {
			rs[i].Err = bus.ErrNoStream
		}
	}
	return rs, nil
}

// Where streams are made, they are made for rows as well.
func TestDrainerMakesStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, q := newRig(t, 0), newOutbox(t)
		w := r.worker(t, Options{})
		w.conns = Over(bare{r.bus, map[string]bool{}}, nil)
		w.conns.o.Provision = true
		addTo(t.Context(), t, q, bus.Event{ID: "1", Topic: "new"}, bus.Event{ID: "2", Topic: "no.stream"}, bus.Event{ID: "3", Topic: "new"})
		d := drain(t, w, q, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if s := d.Stats(); s.Sent != 2 || !strings.Contains(r.log.String(), "a topic has no stream, and none could be made") {
			t.Errorf("%+v\n%s", s, &r.log)
		}
	})
}
