package deadletter_test

import (
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/deadletter"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// A page goes on after its last letter also if that one, and all before it, are gone.
func TestPagesOnJetStreamGoOnAfterLettersThatAreGone(t *testing.T) {
	t.Parallel()
	for name, retention := range map[string]jetstream.RetentionPolicy{"limits": jetstream.LimitsPolicy, "work queue": jetstream.WorkQueuePolicy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := jetStreamTopic(t, retention)
			var listed []string
			var after bus.Position
			for page := range 4 {
				var letters []deadletter.Letter
				for l, err := range topic.List(t.Context(), deadletter.Filter{}, after) {
					must(t, err)
					listed, letters, after = append(listed, l.Event.ID), append(letters, l), l.Position
					if len(letters) == 3 {
						break
					}
				}
				store, err := memdedupe.New(nil)
				must(t, err)
				if page%2 == 0 {
					must(t, errors.Join(topic.Redrive(t.Context(), store, "", letters...)...))
				} else {
					must(t, errors.Join(topic.Drop(t.Context(), letters...)...))
				}
			}
			if want := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}; !slices.Equal(listed, want) {
				t.Errorf("listed %q; want %q", listed, want)
			}
			for l, err := range topic.List(t.Context(), deadletter.Filter{}, bus.Position{}) {
				must(t, err)
				t.Errorf("letter %q is left", l.ID)
			}
		})
	}
}

// jetStreamTopic is a dead-letter topic with ten letters.
func jetStreamTopic(t *testing.T, retention jetstream.RetentionPolicy) *deadletter.Topic {
	t.Helper()
	nc := natstest.Start(t, nil).Connect(t)
	js, err := jetstream.New(nc)
	must(t, err)
	for _, c := range []jetstream.StreamConfig{
		{Name: "ORDERS", Subjects: []string{"order.>"}},
		{Name: "DEAD", Subjects: []string{"dead.>"}, Retention: retention},
	} {
		_, err := js.CreateStream(t.Context(), c)
		must(t, err)
	}
	b, err := natsbus.New(nc, &natsbus.Options{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(b.Close)
	for i := range 10 {
		_, err := b.Publish(t.Context(), storedLetter(i+1))
		must(t, err)
	}
	topic, err := deadletter.OpenTopic(b, "dead.billing")
	must(t, err)
	return topic
}
