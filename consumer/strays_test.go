package consumer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// TestEventsOutsideOfTheLayoutAreTold: somebody publishes without bus.Partitioned, or in another
// number of partitions.
func TestEventsOutsideOfTheLayoutAreTold(t *testing.T) {
	inFleet(t, consumer.Partitions(4), func(w *fleet) {
		a := w.start("a", nil)
		w.publish(20, 5)
		w.await(20)
		must(t, a.sub.Healthy())
		_, err := w.bus.Publish(w.t.Context(), bus.Event{ID: "stray", Topic: "order.placed"})
		must(t, err)
		time.Sleep(61 * time.Second)
		if err := a.sub.Healthy(); !errors.Is(err, consumer.ErrLayout) || !strings.Contains(err.Error(), "bus.Partitioned") {
			t.Errorf("healthy: %v", err)
		}
		w.order = consumer.ByKey // the remedy that it names
		b := w.start("b", nil)
		w.await(21)
		b.end()
		time.Sleep(61 * time.Second)
		if err := a.sub.Healthy(); err != nil {
			t.Errorf("healthy afterwards: %v", err)
		}
	})
}

// TestEventsInANumberThatTheGroupNeverReadAreTold, until the group has handled them: what was moved
// stays where it was published.
func TestEventsInANumberThatTheGroupNeverReadAreTold(t *testing.T) {
	for _, order := range []consumer.Order{consumer.Partitions(4), consumer.Exclusive} {
		t.Run(order.String(), func(t *testing.T) {
			inFleet(t, order, func(w *fleet) {
				a := w.start("a", nil)
				w.publish(20, 5)
				w.await(20)
				stray := bus.Event{ID: "20", Key: "k0", Topic: "order.placed", Data: []byte("20")}
				_, err := bus.Partitioned(w.bus, 8).Publish(w.t.Context(), stray)
				must(t, err)
				time.Sleep(61 * time.Second)
				err = a.sub.Healthy()
				if !errors.Is(err, consumer.ErrLayout) || !strings.Contains(err.Error(), "in 8 partitions") || !strings.Contains(err.Error(), "'order.placed.of8.>'") {
					t.Errorf("healthy: %v", err)
				}
				_, err = w.publisher().Publish(w.t.Context(), stray.WithControl(bus.Control{Copy: "of4"})) // as a replay does
				must(t, err)
				w.await(21)
				time.Sleep(61 * time.Second)
				if err := a.sub.Healthy(); err != nil {
					t.Errorf("healthy afterwards: %v", err)
				}
			})
		})
	}
}
