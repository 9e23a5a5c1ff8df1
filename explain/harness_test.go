package explain_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
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
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/group"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	topic = "order.placed"
	ttl   = 24 * time.Hour
)

// harness is a group in a bubble, whose handler does with each event what it was told to.
type harness struct {
	t      *testing.T
	bus    *membus.Bus
	store  *memdedupe.Store
	outbox *memoutbox.Queue
	topic  *deadletter.Topic
	source bus.Source
	sub    *consumer.Subscription

	mu    sync.Mutex
	does  func(ctx context.Context, e bus.Event) error
	group explain.Group
	id    func(bus.Event) string // of the subscription; nil: the events' own
}

func inBubble(t *testing.T, f func(h *harness)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(newHarness(t)) })
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, does: func(context.Context, bus.Event) error { return nil }, group: explain.Group{Name: "billing"}}
	var err error
	h.bus, err = membus.New(nil)
	must(t, err)
	h.store, err = memdedupe.New(nil)
	must(t, err)
	h.outbox, err = memoutbox.New(nil)
	must(t, err)
	h.topic, err = deadletter.OpenTopic(h.bus, "dead.billing")
	must(t, err)
	h.source, err = h.bus.Subscribe(t.Context(), "order.*", "billing", &bus.SubscribeOptions{})
	must(t, err)
	t.Cleanup(func() { must(t, h.source.Close(context.Background())) })
	h.joined(group.Subscription{Topic: "order.*", State: "running", TTLSeconds: ttl.Seconds(), Concurrency: 4})
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// joined makes one process the member of the group.
func (h *harness) joined(sub group.Subscription) {
	h.group.Members = []group.Member{{Host: "host", PID: 17, State: group.Running, Subscriptions: []group.Subscription{sub}}}
}

func (h *harness) subscribe() {
	h.t.Helper()
	var err error
	h.sub, err = consumer.SubscribeExactlyOnce(h.t.Context(), h.bus, "order.*", "billing", h.store, func(ctx context.Context, e bus.Event) error {
		h.mu.Lock()
		does := h.does
		h.mu.Unlock()
		return does(ctx, e)
	}, &consumer.Options{ID: h.id, TTL: ttl, MaxAttempts: 3, Logger: slog.New(slog.DiscardHandler)})
	must(h.t, err)
	sub := h.sub
	h.t.Cleanup(func() { must(h.t, sub.Drain(context.Background())) })
}

func (h *harness) will(does func(ctx context.Context, e bus.Event) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.does = does
}

func (h *harness) publish(es ...bus.Event) {
	h.t.Helper()
	_, err := h.bus.Publish(h.t.Context(), es...)
	must(h.t, err)
	synctest.Wait()
}

func order(id string) bus.Event {
	return bus.Event{ID: id, Topic: topic, Type: "placed", Data: []byte(`{"order":"` + id + `"}`)}
}

// settle gives the group time to do all that there is to do.
func (h *harness) settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// sources are those of the group as it stands.
func (h *harness) sources() *explain.Sources {
	h.t.Helper()
	info, err := h.source.Info(h.t.Context())
	must(h.t, err)
	c := explain.Cursor{Topic: "order.*", Floor: info.Floor, Delivered: info.Floor + info.Unsettled, Pending: info.Pending, Unsettled: info.Unsettled, Now: info.Now, ID: h.id}
	h.group.Cursors = []explain.Cursor{c}
	return &explain.Sources{Bus: h.bus, Group: h.group, Marks: h.store, MarksName: "memory", Letters: h.topic, Outbox: h.outbox}
}

// letters are the dead letters of the group.
func (h *harness) letters() (all []deadletter.Letter) {
	h.t.Helper()
	for l, err := range h.topic.List(h.t.Context(), deadletter.Filter{}, bus.Position{}) {
		must(h.t, err)
		all = append(all, l)
	}
	must(h.t, h.topic.FindEdits(h.t.Context(), all))
	return slices.DeleteFunc(all, func(l deadletter.Letter) bool { return l.SupersededBy != "" })
}

// redrive redrives the letters, for their own group if none is named.
func (h *harness) redrive(group string) {
	h.t.Helper()
	for _, err := range h.topic.Redrive(h.t.Context(), h.store, group, h.letters()...) {
		must(h.t, err)
	}
	h.settle(time.Minute)
}

// story is what became of an event.
func (h *harness) story(q explain.Query) *explain.Story {
	h.t.Helper()
	if q.Topic == "" {
		q.Topic = topic
	}
	story, err := h.sources().Story(h.t.Context(), q)
	must(h.t, err)
	return story
}

// stands wants an event to be in a state, with a summary and lines of these events.
func (h *harness) stands(story *explain.Story, state explain.State, summary string, events ...string) {
	h.t.Helper()
	var got []string
	for i := range story.Timeline {
		got = append(got, story.Timeline[i].Event)
	}
	if story.State != state || !strings.Contains(story.Summary, summary) || strings.Join(got, " ") != strings.Join(events, " ") {
		h.t.Errorf("%q: %q, %q; want %q, %q, %q", story.State, story.Summary, got, state, summary, events)
	}
}

// misses wants a story to say that something is not known.
func (h *harness) misses(missing []string, text string) {
	h.t.Helper()
	if !strings.Contains(strings.Join(missing, "\n"), text) {
		h.t.Errorf("missing: %q; want %q", missing, text)
	}
}

var errBroken = errors.New("tax service: no rate")

func fails(context.Context, bus.Event) error { return errBroken }

func givesUp(context.Context, bus.Event) error { return consumer.Permanent(errBroken) }

func hangs(ctx context.Context, _ bus.Event) error {
	<-ctx.Done()
	return ctx.Err()
}
