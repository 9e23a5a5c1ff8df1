package consumer

import (
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/group"
)

// Options with their defaults are options with their defaults, with every order; and the order key
// is that of the order.
func TestDefaultsCanBeFilledInTwice(t *testing.T) {
	t.Parallel()
	e := bus.Event{ID: "1", Key: "k", Topic: "order.placed"}
	for order, key := range map[Order]string{ByKey: "k", Exclusive: "k", Partitions(4): "k", Unordered: "", ByTopic: "order.placed"} {
		o := &Options{Order: order, Session: &group.Session{}}
		var err error
		for range 2 {
			if o, err = o.WithDefaults("g"); err != nil {
				t.Fatalf("%s: %v", order, err)
			}
		}
		if got := o.keyOf(&e); got != key {
			t.Errorf("%s: order key %q, want %q", order, got, key)
		}
	}
}
