package deadletter_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deadletter"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is a group in a bubble, whose handler fails until it is mended.
type harness struct {
	t     *testing.T
	bus   *membus.Bus
	store *memdedupe.Store
	topic *deadletter.Topic

	mu      sync.Mutex
	mended  bool
	handled map[string]int    // successes by group and id
	data    map[string]string // of the last success, by id
}

func inBubble(t *testing.T, f func(w *harness)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(newHarness(t)) })
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	b, err := membus.New(nil)
	must(t, err)
	store, err := memdedupe.New(nil)
	must(t, err)
	topic, err := deadletter.OpenTopic(b, "dead.billing")
	must(t, err)
	return &harness{t: t, bus: b, store: store, topic: topic, handled: map[string]int{}, data: map[string]string{}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var errBroken = errors.New("tax service: no rate for country XX")

func (w *harness) subscribe(group string, o *consumer.Options) {
	w.t.Helper()
	opts := consumer.Options{}
	if o != nil {
		opts = *o
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	s, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, "order.*", group, w.store, func(_ context.Context, e bus.Event) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.mended {
			return consumer.Permanent(errBroken)
		}
		w.handled[group+" "+e.ID]++
		w.data[e.ID] = string(e.Data)
		return nil
	}, &opts)
	must(w.t, err)
	w.t.Cleanup(func() { must(w.t, s.Drain(context.Background())) })
}

func (w *harness) mend(works bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mended = works
}

// handledOnce wants these ids, and no others, to be handled once by the group.
func (w *harness) handledOnce(group string, ids ...string) {
	w.t.Helper()
	w.settle()
	w.mu.Lock()
	defer w.mu.Unlock()
	total := 0
	for _, n := range w.handled {
		total += n
	}
	for _, id := range ids {
		if n := w.handled[group+" "+id]; n != 1 {
			w.t.Errorf("event %q was handled %d times; want once", id, n)
		}
	}
	if total != len(ids) {
		w.t.Errorf("handled: %v; want %q alone", w.handled, ids)
	}
}

// settle gives the group time to do all that there is to do.
func (w *harness) settle() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

func (w *harness) publish(es ...bus.Event) {
	w.t.Helper()
	_, err := w.bus.Publish(w.t.Context(), es...)
	must(w.t, err)
}

func order(id string) bus.Event {
	return bus.Event{ID: id, Topic: "order.placed", Type: "placed", Data: []byte(`{"order":"` + id + `"}`), Headers: bus.Headers{"Tenant": {"a"}}}
}

// list wants the letters that a filter selects to be listed without an error.
func (w *harness) list(f deadletter.Filter) (all []deadletter.Letter) {
	w.t.Helper()
	for l, err := range w.topic.List(w.t.Context(), f, bus.Position{}) {
		must(w.t, err)
		all = append(all, l)
	}
	return all
}

func ids(letters []deadletter.Letter) (out []string) {
	for i := range letters {
		out = append(out, letters[i].Event.ID)
	}
	return out
}

// redrive wants all letters that there are to be redriven.
func (w *harness) redrive() {
	w.t.Helper()
	for _, err := range w.topic.Redrive(w.t.Context(), w.store, "", w.list(deadletter.Filter{})...) {
		must(w.t, err)
	}
}

// count is how many events a topic has.
func (w *harness) count(topic string) (n int) {
	w.t.Helper()
	for _, err := range w.bus.Read(w.t.Context(), topic, bus.Range{}) {
		if _, dropped := errors.AsType[*bus.DroppedError](err); !dropped {
			must(w.t, err)
			n++
		}
	}
	return n
}
