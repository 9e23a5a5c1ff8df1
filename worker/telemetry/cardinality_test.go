package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// maxSeries is more than one subscription can have.
const maxSeries = 150

// Whatever is published, and whatever handlers return, the number of series has a bound, and no
// series names an id, a key, or what an error says.
func TestTenThousandIDsKeysAndErrorsMakeNoSeries(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const events = 10_000
	b, err := membus.New(nil)
	must(t, err)
	store, err := memdedupe.New(nil)
	must(t, err)
	ended := make(chan struct{})
	counter := &endings{left: events, done: ended}
	sub, err := consumer.SubscribeExactlyOnce(t.Context(), b, "order.*", "billing", store, func(_ context.Context, e bus.Event) error {
		err := fmt.Errorf("hunter2 of %s and %s", e.ID, e.Key)
		switch e.ID[len(e.ID)-1] {
		case '0':
			return consumer.Permanent(err)
		case '1':
			return consumer.Permanent(errors.Join(err, numbered(e.ID)))
		}
		return nil
	}, &consumer.Options{Observer: consumer.Observers(r.Observer("order.*", "billing"), counter), Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	for i := range events {
		_, err := b.Publish(t.Context(), bus.Event{ID: fmt.Sprintf("hunter2-%d", i), Key: fmt.Sprintf("hunter2-key-%d", i), Topic: "order.placed"})
		must(t, err)
	}
	<-ended
	must(t, sub.Drain(context.Background()))
	found := r.series(t)
	if len(found) > maxSeries {
		t.Errorf("%d series", len(found))
	}
	for name := range found {
		if strings.Contains(name, "hunter2") {
			t.Errorf("%s has what was published", name)
		}
	}
	if n := found["onceish.dead_letters{group=billing,reason=permanent,topic=order.*}"]; n != events/5 {
		t.Errorf("%v dead letters", n)
	}
}

// numbered is an error of many values, and one type.
type numbered string

func (n numbered) Error() string { return "hunter2 " + string(n) }

// endings counts the events that were handled or dead-lettered.
type endings struct {
	left int
	done chan struct{}
}

// Observe implements consumer.Observer.
func (e *endings) Observe(o consumer.Observation) {
	if o.Outcome != consumer.OutcomeHandled && o.Outcome != consumer.OutcomeDead {
		return
	}
	if e.left--; e.left == 0 {
		close(e.done)
	}
}

// The topics that are published to are anybody's choice: all but the first 50 share a series.
func TestTopicsThatArePublishedToHaveABound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 10_000 {
		r.ObservePublish([]bus.Event{{Topic: fmt.Sprintf("t%d", i)}}, []bus.Receipt{{}}, time.Millisecond)
	}
	found := r.series(t)
	if n := found["messaging.client.sent.messages{destination.name=other,operation.name=send}"]; n != 10_000-50 || len(found) > 110 {
		t.Errorf("%v events of other topics, %d series", n, len(found))
	}
}
