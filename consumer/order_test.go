package consumer_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// TestOrderHasAText that is parsed to the same Order.
func TestOrderHasAText(t *testing.T) {
	t.Parallel()
	for text, order := range map[string]consumer.Order{
		"key": consumer.ByKey, "none": consumer.Unordered, "topic": consumer.ByTopic, "exclusive": consumer.Exclusive,
		"partitions:1": consumer.Partitions(1), "partitions:1024": consumer.Partitions(bus.MaxPartitions),
	} {
		if got, err := consumer.ParseOrder(text); got != order || err != nil || order.String() != text {
			t.Errorf("%q: %v, %v; its text is %q", text, got, err, order)
		}
	}
	for _, text := range []string{"", "keys", "partitions", "partitions:", "partitions:0", "partitions:1025", "partitions:08", "partitions:-1", "Key"} {
		if got, err := consumer.ParseOrder(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	if (consumer.Order{}) != consumer.ByKey {
		t.Error("the zero Order is not ByKey")
	}
}

// TestOrderIsRefusedThatCannotHold: each error names what is missing.
func TestOrderIsRefusedThatCannotHold(t *testing.T) {
	inFleet(t, consumer.Partitions(4), func(w *fleet) {
		p := w.join("a")
		byID := func(e bus.Event) string { return e.ID }
		for name, c := range map[string]struct {
			topic, group, says string
			change             func(*consumer.Options)
		}{
			"no session":    {change: func(o *consumer.Options) { o.Session = nil }, says: consumer.ErrNoSession.Error()},
			"too many":      {change: func(o *consumer.Options) { o.Order = consumer.Partitions(1025) }, says: "from 1 to 1024"},
			"none":          {change: func(o *consumer.Options) { o.Order = consumer.Partitions(0) }, says: "from 1 to 1024"},
			"an order key":  {change: func(o *consumer.Options) { o.OrderKey = byID }, says: "what the publisher has partitioned by"},
			"key, no order": {change: func(o *consumer.Options) { o.Order, o.OrderKey = consumer.Unordered, byID }, says: "which has no order"},
			"a pattern":     {topic: "order.*", says: "needs one topic"},
			"a partition":   {topic: "order.placed.of4.1", says: `subscribe to "order.placed"`},
			"another group": {group: "shipping", says: `it must have joined "shipping"`},
			"hooks limit":   {change: func(o *consumer.Options) { o.HookLimit = -1 }, says: "HookLimit"},
		} {
			o := consumer.Options{Order: w.order, Session: p.session, Logger: slog.New(slog.DiscardHandler)}
			if c.change != nil {
				c.change(&o)
			}
			topic, group := "order.placed", "billing"
			if c.topic != "" {
				topic = c.topic
			}
			if c.group != "" {
				group = c.group
			}
			_, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, topic, group, w.store, nothing, &o)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
			if name == "no session" && !errors.Is(err, consumer.ErrNoSession) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// mostAtOnce runs ten events of two keys on two topics, and returns how many ran at once.
func mostAtOnce(t *testing.T, order consumer.Order) (most int) {
	inBubble(t, func(w *harness) {
		var mu sync.Mutex
		running := 0
		s := w.subscribe(func(context.Context, bus.Event) error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		}, &consumer.Options{Order: order})
		for i, topic := range []string{"order.placed", "order.paid"} {
			for n := range 5 {
				w.publish(bus.Event{ID: string(rune('a'+n)) + topic, Topic: topic, Key: string(rune('x' + (n+i)%2))})
			}
		}
		time.Sleep(time.Minute)
		w.drain(s)
	})
	return most
}

// TestUnorderedEventsRunAtOnce whatever their key.
func TestUnorderedEventsRunAtOnce(t *testing.T) {
	if n := mostAtOnce(t, consumer.Unordered); n != 10 {
		t.Errorf("%d events at once", n)
	}
}

// TestEventsOfATopicRunOneAfterTheOther with ByTopic, and those of another one beside them.
func TestEventsOfATopicRunOneAfterTheOther(t *testing.T) {
	if n := mostAtOnce(t, consumer.ByTopic); n != 2 {
		t.Errorf("%d events at once", n)
	}
}
