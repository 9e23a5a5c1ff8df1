package consumer_test

import (
	"context"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// Deliveries are extended in time for the ack deadline in force, also when another process has
// made it shorter.
func TestTheDeadlineThatAnotherProcessHasSetIsFollowed(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.subscribe(func(context.Context, bus.Event) error {
			time.Sleep(10 * time.Second)
			return nil
		}, &consumer.Options{AckWait: 30 * time.Second})
		other, err := w.bus.Subscribe(w.t.Context(), "order.*", "billing", &bus.SubscribeOptions{AckWait: time.Second})
		must(w.t, err)
		must(w.t, other.Close(w.t.Context()))
		time.Sleep(11 * time.Second) // the cursor's state is asked for each 10 s
		w.publish(order("1"), order("2"))
		time.Sleep(time.Minute)
		w.drain(s)
		if st := s.Stats(); w.starts() != 2 || st.Handled != 2 || st.Duplicates+st.Held > 0 {
			t.Errorf("%d runs, stats %+v, want no redelivery", w.starts(), st)
		}
	})
}
