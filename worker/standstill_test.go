package worker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/outbox"
)

// Whoever runs a worker until all is empty learns by its exit status that some of it was given up.
func TestRunUntilEmptyTellsOfDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		err := newRig(t, 3).run(t.Context(), t, func(_ context.Context, e bus.Event) error {
			if e.ID == "1" {
				return consumer.Permanent(errors.New("no such customer"))
			}
			return nil
		}, Options{UntilEmpty: true})
		if !errors.Is(err, ErrUndone) || ExitStatus(err) != 4 || !strings.Contains(err.Error(), "dead letters: 1") {
			t.Errorf("%v, exit status %d, want 4", err, ExitStatus(err))
		}
	})
}

// choosy is a bus on which the stream of one topic is not there, and another one is
// refused for a while.
type choosy struct {
	bus.Bus

	missing  atomic.Pointer[string]
	refusals atomic.Int64
}

func (c *choosy) lacks(topic string) bool {
	missing := c.missing.Load()
	return missing != nil && topic == *missing
}

func (c *choosy) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	if c.lacks(topic) {
		return bus.TopicInfo{}, bus.ErrNoStream
	}
	return c.Bus.Topic(ctx, topic, group, from)
}

func (c *choosy) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	rs := make([]bus.Receipt, len(events))
	var errs []error
	for i, e := range events {
		switch {
		case c.lacks(e.Topic):
			rs[i].Err = bus.ErrNoStream
		case e.Topic == "refused" && c.refusals.Add(-1) >= 0:
			rs[i].Err = bus.ErrRefused
		default:
			one, _ := c.Bus.Publish(ctx, e) // the receipt says it
			rs[i] = one[0]
		}
		errs = append(errs, rs[i].Err)
	}
	return rs, errors.Join(errs...)
}

// Rows of a topic that has no stream are waited for no longer than there is something
// else to wait for.
func TestRunUntilEmptyDoesNotWaitForRowsWithoutAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, q := newRig(t, 1), newOutbox(t)
		w := r.worker(t, Options{UntilEmpty: true})
		missing := "missing"
		b := &choosy{Bus: r.bus}
		b.missing.Store(&missing)
		b.refusals.Store(3)
		w.conns = Over(b, r.store)
		addTo(t.Context(), t, q, bus.Event{ID: "1", Topic: "missing"}, bus.Event{ID: "2", Topic: "refused"})
		drain(t, w, q, &outbox.Options{Backoff: outbox.Backoff{Base: time.Minute, Max: time.Minute}})
		w.Handle("t", func(context.Context, bus.Event) error {
			time.Sleep(2 * standstillPatience) // which is no standstill
			return nil
		}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := w.Run(ctx)
		if ctx.Err() != nil || !errors.Is(err, ErrUndone) || ExitStatus(err) != 4 || !strings.Contains(err.Error(), "of the topics missing:") {
			t.Errorf("%v, exit status %d, want 4 and the topic's name", err, ExitStatus(err))
		}
		if ids := published(t, r.bus, "refused"); len(ids) != 1 {
			t.Errorf("%v was published, want what was only refused for a while", ids)
		}
	})
}

// Rows that are dead are named beside those that wait for a stream.
func TestRunUntilEmptyNamesDeadRowsBesideMissingStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, q := newRig(t, 0), newOutbox(t)
		w := r.worker(t, Options{UntilEmpty: true})
		missing := "missing"
		b := &choosy{Bus: r.bus}
		b.missing.Store(&missing)
		b.refusals.Store(1)
		w.conns = Over(b, r.store)
		addTo(t.Context(), t, q,
			bus.Event{ID: "1", Topic: "missing"}, bus.Event{ID: "2", Topic: "refused"})
		drain(t, w, q, &outbox.Options{MaxAttempts: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := w.Run(ctx)
		for _, want := range []string{"of the topics missing:", "dead rows of outboxes: 1;"} {
			if !errors.Is(err, ErrUndone) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want %q", err, want)
			}
		}
	})
}

// A dead letter whose topic has lost its stream cannot be stored: the event stays, and is
// not waited for.
func TestRunUntilEmptyDoesNotWaitForALostTopicOfDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		w := r.worker(t, Options{UntilEmpty: true})
		b := &choosy{Bus: r.bus}
		w.conns = Over(b, r.store)
		w.Handle("t", func(context.Context, bus.Event) error {
			letters := "dead.g"
			b.missing.Store(&letters)
			return consumer.Permanent(errors.New("no such customer"))
		}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := w.Run(ctx); ctx.Err() != nil || !errors.Is(err, ErrUndone) || !strings.Contains(err.Error(), "dead.g") {
			t.Errorf("%v, want %v that names the topic", err, ErrUndone)
		}
	})
}
