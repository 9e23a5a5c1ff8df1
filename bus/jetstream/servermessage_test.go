package jetstream_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// send publishes a message as another client would.
func (w *world) send(t *testing.T, subject, data string, header ...string) {
	t.Helper()
	m := nats.NewMsg(subject)
	m.Data = []byte(data)
	for pair := range slices.Chunk(header, 2) {
		m.Header.Set(pair[0], pair[1])
	}
	if _, err := w.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatalf("publish to %s with %q: %v", subject, header, err)
	}
}

// arrivals subscribes a group to all topics of a stream, and returns what arrives
// until there are n.
func (w *world) arrivals(t *testing.T, topics string, n int) []*bus.Delivery {
	t.Helper()
	src, err := w.bus.Subscribe(t.Context(), topics, group, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close(context.Background()) })
	return fetch(t, src, n)
}

// A marker that the server puts where it removed the last event of a topic is no event.
func TestDeleteMarkersAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{
		Name: "marked", Subjects: []string{"marked.>"}, MaxAge: time.Second, AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Hour, AllowRollup: true,
	})
	w.send(t, "marked.old", "x")
	s, err := w.js.Stream(t.Context(), "marked")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a marker in the place of the event", func() bool {
		m, err := s.GetLastMsgForSubject(t.Context(), "marked.old")
		return err == nil && m.Header.Get("Nats-Marker-Reason") != ""
	})
	if d := w.arrivals(t, "marked.>", 1)[0]; d.ServerMessage != "delete marker: MaxAge" || d.Malformed != nil {
		t.Errorf("a marker is taken for %q, malformed %v", d.ServerMessage, d.Malformed)
	}
}

// What a client publishes is an event, whatever it asks of the server beside.
func TestWhatAClientPublishesIsAnEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{Name: "asked", Subjects: []string{"asked.>"}, AllowRollup: true, AllowMsgTTL: true, AllowAtomicPublish: true})
	makeStream(t, w.js, jetstream.StreamConfig{Name: "counted", Subjects: []string{"counted.>"}, AllowMsgCounter: true})
	w.send(t, "asked.rolled", "a", "Nats-Rollup", "sub")
	w.send(t, "asked.short", "b", "Nats-TTL", "1m")
	w.send(t, "asked.expected", "c", "Nats-Expected-Stream", "asked")
	w.send(t, "asked.deleted", "", "KV-Operation", "DEL")
	w.send(t, "asked.marked", "d", "Nats-Marker-Reason", "MaxAge") // by a client that copies headers
	for i, last := range []string{"", "1"} {
		m := nats.NewMsg("asked.batch")
		m.Data = []byte{byte('e' + i)}
		m.Header.Set("Nats-Batch-Id", "b")
		m.Header.Set("Nats-Batch-Sequence", []string{"1", "2"}[i])
		if last != "" {
			m.Header.Set("Nats-Batch-Commit", last)
		}
		if _, err := w.nc.RequestMsg(m, fetchTimeout); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, d := range w.arrivals(t, "asked.>", 7) {
		if d.ServerMessage != "" || d.Malformed != nil {
			t.Errorf("%q is taken for %q, malformed %v", d.Event.Topic, d.ServerMessage, d.Malformed)
		}
		got = append(got, string(d.Event.Data))
	}
	if want := []string{"a", "b", "c", "", "d", "e", "f"}; !slices.Equal(got, want) {
		t.Errorf("%q arrived; want %q", got, want)
	}
	w.send(t, "counted.a", "", "Nats-Incr", "+1")
	w.send(t, "counted.a", "", "Nats-Incr", "+2")
	for i, d := range w.arrivals(t, "counted.>", 2) {
		if want := []string{`{"val":"1"}`, `{"val":"3"}`}[i]; d.ServerMessage != "" || string(d.Event.Data) != want {
			t.Errorf("increment %d: %q, %q; want the total %s", i+1, d.ServerMessage, d.Event.Data, want)
		}
	}
}

// A schedule is an order to the server. What the server publishes for it is the event;
// acknowledging the order does not withdraw it.
func TestSchedulesAreNotRunBeforeTheyAreDue(t *testing.T) {
	t.Parallel()
	for name, retention := range map[string]jetstream.RetentionPolicy{"limits": jetstream.LimitsPolicy, "work queue": jetstream.WorkQueuePolicy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			makeStream(t, w.js, jetstream.StreamConfig{Name: "planned", Subjects: []string{"planned.>"}, AllowMsgSchedules: true, AllowRollup: true, Retention: retention})
			due := time.Now().Add(2 * time.Second).UTC()
			w.send(t, "planned.order", "x", "Nats-Schedule", "@at "+due.Format(time.RFC3339), "Nats-Schedule-Target", "planned.due")
			src, err := w.bus.Subscribe(t.Context(), "planned.>", group, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = src.Close(context.Background()) })
			order := fetch(t, src, 1)[0]
			if order.ServerMessage != "message schedule" {
				t.Fatalf("%q is taken for %q; want it told that it is a schedule", order.Event.Topic, order.ServerMessage)
			}
			ack(t, order)
			d := fetch(t, src, 1)[0]
			if d.Event.Topic != "planned.due" || d.ServerMessage != "" || string(d.Event.Data) != "x" {
				t.Errorf("%q of %q came, taken for %q; want what was scheduled", d.Event.Data, d.Event.Topic, d.ServerMessage)
			}
			ack(t, d)
		})
	}
}
