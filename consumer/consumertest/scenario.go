package consumertest

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// scenario is what all runs of a test share.
type scenario struct {
	newHandler   func() consumer.Handler
	options      consumer.Options // with the defaults
	topic, group string
	limit        time.Duration

	names map[dedupe.Key]string // the labels of events, by their keys without group
	ticks atomic.Int64          // counts steps, and what the clock of the bubble has woken
}

func (k Kit) newScenario(h consumer.Handler) (*scenario, error) {
	newHandler := k.NewHandler
	switch {
	case h == nil && newHandler == nil:
		return nil, errors.New("the handler is nil")
	case h != nil && newHandler != nil:
		return nil, errors.New("there is a handler, and Kit.NewHandler to make one for each process: pass nil as the handler, or leave NewHandler out")
	case newHandler == nil:
		newHandler = func() consumer.Handler { return h }
	}
	if k.Limit < 0 {
		return nil, fmt.Errorf("Kit.Limit is %v: it must be 0 (24 h) or above", k.Limit)
	}
	s := &scenario{newHandler: newHandler, topic: k.Topic, group: k.Group, limit: k.Limit}
	if s.group == "" {
		s.group = "consumertest"
	}
	if s.limit == 0 {
		s.limit = 24 * time.Hour
	}
	err := s.setOptions(k.Options)
	return s, err
}

func (s *scenario) setOptions(given *consumer.Options) error {
	o := consumer.Options{}
	if given != nil {
		o = *given
	}
	switch {
	case o.Mode == consumer.Transactional:
		return errors.New("Options.Mode is Transactional: there are no transactions in memory; test such a handler against its database")
	case len(o.Gates) > 0 || o.Limit != nil:
		return errors.New("Options.Gates and Options.Limit keep their state from run to run: leave them out, for they do not change which effects are made")
	}
	if o.Concurrency == 0 {
		o.Concurrency = 1 // a crash takes no other event with it
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.From, o.FromStream = bus.Start{}, ""
	full, err := o.WithDefaults(s.group)
	if err == nil {
		s.options = *full
	}
	return err
}

// setEvents checks events and names them.
func (s *scenario) setEvents(events []bus.Event) error {
	if len(events) == 0 {
		return errors.New("there are no events: give at least one")
	}
	names, ids := make(map[dedupe.Key]string, len(events)), make(map[string]int, len(events))
	for i := range events {
		e := &events[i]
		if e.Topic == "" {
			return fmt.Errorf("event %d (id %q) has no topic: set Event.Topic", i, e.ID)
		}
		if err := e.Validate(); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
		k := s.keyOf(e)
		if _, ok := names[k]; ok {
			return fmt.Errorf("event %d has the id %q of an earlier one on topic %q, and would be a duplicate: give each an id of its own", i, k.ID, k.Topic)
		}
		names[k] = e.ID
		ids[e.ID]++
	}
	for k, name := range names {
		if ids[name] > 1 {
			names[k] = k.Topic + " " + k.ID
		}
	}
	if s.names != nil && !maps.Equal(s.names, names) {
		return fmt.Errorf("setup returned events %q, and earlier %q: return the same ones each time",
			slices.Sorted(maps.Values(names)), slices.Sorted(maps.Values(s.names)))
	}
	s.names = names
	return s.setTopic(events)
}

// setTopic finds the pattern to subscribe to.
func (s *scenario) setTopic(events []bus.Event) error {
	if s.topic == "" {
		s.topic = patternOf(events)
	}
	for i := range events {
		if s.topic == "" || !bus.Match(s.topic, events[i].Topic) {
			return fmt.Errorf("topic %q of event %q is not in the subscription to %q: set Kit.Topic to a pattern of all topics, or test each topic by itself",
				events[i].Topic, events[i].ID, s.topic)
		}
	}
	return nil
}

// patternOf returns the narrowest pattern of all topics; "" if they have not even their first
// element in common.
func patternOf(events []bus.Event) string {
	common := strings.Split(events[0].Topic, ".")
	common = common[:len(common)-1]
	same := true
	for _, e := range events[1:] {
		elements := strings.Split(e.Topic, ".")
		same = same && e.Topic == events[0].Topic
		n := 0
		for n < min(len(common), len(elements)-1) && common[n] == elements[n] {
			n++
		}
		common = common[:n]
	}
	switch {
	case same:
		return events[0].Topic
	case len(common) == 0:
		return ""
	}
	return strings.Join(common, ".") + ".>"
}

// keyOf returns the key of an event without its group. An event that has no id by Options.ID, which
// is dead-lettered, has that of its identity.
func (s *scenario) keyOf(e *bus.Event) (k dedupe.Key) {
	k = dedupe.Key{Topic: bus.LogicalTopic(e.Topic), ID: e.Identity()}
	defer func() { _ = recover() }() // the consumer dead-letters the event for that
	if id := s.options.ID(*e); id != "" {
		k.ID = id
	}
	return k
}

// labelOf returns how reports call the event of a key.
func (s *scenario) labelOf(k dedupe.Key) string {
	if name, ok := s.names[keyWithout(k)]; ok {
		return name
	}
	return k.ID
}

// simulate makes one run in a bubble: what setup returns is handled, and read is called while the
// processes are as the run has left them.
func (s *scenario) simulate(t *testing.T, at point, setup func() []bus.Event, read func(*world) error) (err error) {
	t.Helper()
	if isInBubble() {
		return errors.New("call this outside of a bubble of testing/synctest: it makes one for each run")
	}
	defer s.explainHang(t, at)()
	hasReturned := false
	defer func() {
		p := recover()
		switch text := fmt.Sprint(p); {
		case p == nil:
		case !strings.HasPrefix(text, "deadlock: "):
			panic(p)
		case !hasReturned:
			err = errors.New("setup or effects ended the test, by t.FailNow or runtime.Goexit")
		case err == nil: // else it is known which handler does not return
			err = fmt.Errorf("a goroutine that setup, the handler or effects started has not ended: %s: end it before they return", text)
		}
	}()
	synctest.Test(t, func(*testing.T) {
		err = s.simulateInBubble(at, setup, read)
		hasReturned = true
	})
	return err
}

// isInBubble reports whether it is called within a bubble.
func isInBubble() (ok bool) {
	defer func() { ok = recover() == nil }()
	synctest.Wait() // panics outside of one
	return true
}

func (s *scenario) simulateInBubble(at point, setup func() []bus.Event, read func(*world) error) error {
	awaitTurnOfYear()
	events := setup()
	if err := s.setEvents(events); err != nil {
		return err
	}
	w, err := newWorld(s, at)
	if err != nil {
		return err
	}
	if err = w.handleEvents(events); err == nil {
		err = read(w)
	}
	return cmp.Or(err, w.shutDown())
}

// awaitTurnOfYear returns shortly before a year ends: a key that a handler makes of the minute, the
// day or the month is another one in the process that takes over.
func awaitTurnOfYear() {
	const earlier = 100 * time.Millisecond // long enough for handlers that wait a little, before they make a key
	end := time.Date(time.Now().UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC)
	time.Sleep(time.Until(end.Add(-earlier)))
}

// keyWithout is a key as labels are looked up: in whatever group and scope.
func keyWithout(k dedupe.Key) dedupe.Key { return dedupe.Key{Topic: k.Topic, ID: k.ID} }
