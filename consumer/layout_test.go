package consumer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// TestPartitionsAreNotForgottenWithoutASession: a process with an order of its own, which knows
// nothing of the group's plans, does not start while events of the partitions are not settled.
func TestPartitionsAreNotForgottenWithoutASession(t *testing.T) {
	inFleet(t, consumer.Partitions(4), func(w *fleet) {
		a := w.start("a", nil)
		a.sub.Pause()
		time.Sleep(2 * time.Second)
		w.publish(30, 10)
		a.end()
		plain := func(o *consumer.Options) { o.Order, o.Session = consumer.ByKey, nil }
		err := w.join("b").subscribe(plain)
		if !errors.Is(err, consumer.ErrLayout) || !strings.Contains(err.Error(), "30 pending") || !strings.Contains(err.Error(), "--order partitions:4") {
			t.Errorf("subscribed: %v", err)
		}
		c := w.start("c", nil)
		w.await(30)
		c.end()
		d := w.join("d")
		must(t, d.subscribe(plain))
		_, err = w.bus.Publish(w.t.Context(), bus.Event{ID: "plain", Topic: "order.placed"})
		must(t, err)
		w.await(31)
		d.end()
	})
}
