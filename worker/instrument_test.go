package worker

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

// noting is an instrumentation that notes what it is asked for, and what goes through it.
type noting struct {
	name string
	log  *steps
}

// steps are what was noted, in order. The zero value is empty. Its methods are safe for concurrent
// use.
type steps struct {
	mu    sync.Mutex
	noted []string
}

func (s *steps) note(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noted = append(s.noted, step)
}

// Subscription implements Instrumentation.
func (n noting) Subscription(topic, group string, o *consumer.Options) {
	o.Use = append([]consumer.Middleware{func(next consumer.Handler) consumer.Handler {
		return func(ctx context.Context, e bus.Event) error {
			n.log.note(n.name + " runs " + e.Topic)
			return next(ctx, e)
		}
	}}, o.Use...)
	if o.MaxAttempts == 0 {
		n.log.note("options without their defaults")
	}
	n.log.note(n.name + " watches " + group + " at " + topic)
}

// Publisher implements Instrumentation.
func (n noting) Publisher(to bus.Publisher) bus.Publisher { return notingPublisher{n, to} }

type notingPublisher struct {
	noting

	to bus.Publisher
}

// Publish implements bus.Publisher.
func (p notingPublisher) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	p.log.note(p.name + " publishes to " + events[0].Topic)
	return p.to.Publish(ctx, events...)
}

// Headers implements Instrumentation.
func (n noting) Headers(context.Context) bus.Headers { return bus.Headers{"By": {n.name}} }

func TestInstrumentationSeesRunsPublishersAndOutboxes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		w := r.worker(t, Options{UntilEmpty: true})
		var noted steps
		w.Instrument(noting{"inner", &noted})
		w.Instrument(noting{"outer", &noted})
		box, err := memoutbox.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := box.Add(t.Context(), bus.Event{ID: "o", Topic: "z"}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.AddDrainer(box, nil); err != nil {
			t.Fatal(err)
		}
		w.Handle("t", func(ctx context.Context, _ bus.Event) error {
			_, err := w.Publisher().Publish(ctx, bus.Event{ID: "p", Topic: "y"})
			return err
		}, &consumer.Options{Concurrency: 1})
		if err := w.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		log := noted.noted
		for _, want := range [][]string{
			{"inner watches g at t", "outer watches g at t", "outer runs t", "inner runs t", "outer publishes to y", "inner publishes to y"},
			{"outer publishes to z", "inner publishes to z"},
		} {
			at := -1
			for _, step := range want {
				next := slices.Index(log, step)
				if next <= at {
					t.Fatalf("%q, want %q in this order", log, want)
				}
				at = next
			}
		}
		if slices.Contains(log, "options without their defaults") {
			t.Errorf("%q", log)
		}
		if by := w.conns.contextHeaders(t.Context()).Get("By"); by != "outer" {
			t.Errorf("rows are added by %q, want the last one", by)
		}
	})
}
