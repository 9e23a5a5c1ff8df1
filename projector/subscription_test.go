package projector_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/mongodoc"
	"github.com/onceish/onceish/projector"
)

// handled counts what is handled or dead-lettered, and closes done at the last event.
type handled struct {
	want int
	done chan struct{}
}

// Observe implements consumer.Observer.
func (h *handled) Observe(o consumer.Observation) {
	if o.Outcome != consumer.OutcomeHandled && o.Outcome != consumer.OutcomeDead {
		return
	}
	if h.want--; h.want == 0 {
		close(h.done)
	}
}

// subscribe has a group handle so many events.
func (w *site) subscribe(h consumer.Handler, events int) {
	w.t.Helper()
	seen := &handled{want: events, done: make(chan struct{})}
	s, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, topic, group, w.store, h,
		&consumer.Options{Concurrency: 20, MaxUnmarked: 40, Observer: seen, Logger: slog.New(slog.DiscardHandler)})
	must(w.t, err)
	<-seen.done
	must(w.t, s.Drain(context.Background()))
}

// A group projects in batches, and what cannot be projected is a dead letter.
func TestGroupProjectsInBatches(t *testing.T) {
	t.Parallel()
	w := newSite(t, unique(projector.LastWins))
	events := make([]bus.Event, 0, 100)
	for i := range 99 {
		events = append(events, userEvent(fmt.Sprint(i), fmt.Sprint("k", i%10), user{fmt.Sprint("n", i), fmt.Sprint("e", i%4)}))
	}
	w.publish(append(events, bus.Event{ID: "bad", Topic: topic, Data: []byte("bad")})...)
	w.subscribe(consumer.Batch(w.live.HandleBatch, &consumer.BatchOptions{Size: 20}), 100)
	w.expect(w.reference(projector.LastWins))
	for s, err := range w.bus.Read(t.Context(), "dead.>", bus.Range{}) {
		must(t, err)
		l, err := consumer.ParseLetter(s.Event)
		must(t, err)
		if l.Event.ID != "bad" || l.Attempts != 1 {
			t.Errorf("a dead letter of event %s after %d attempts, want one of the bad event after one", l.Event.ID, l.Attempts)
		}
	}
}

// A reduction counts each event once, in the group and in a rebuild, which may overlap.
func TestReductionCountsEachEventOnce(t *testing.T) {
	t.Parallel()
	w := newSite(t, nil)
	rows, err := mongodedupe.New(t.Context(), w.coll.Database().Collection("rows"), nil)
	must(t, err)
	u, err := mongodoc.New(rows, nil)
	must(t, err)
	p, err := projector.NewReduction(u, w.coll, func(e bus.Event) (string, any, error) {
		return e.Key, bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}}, nil
	}, 0)
	must(t, err)
	must(t, p.Prepare(t.Context()))
	count := func(id, key string) stored { return w.publish(userEvent(id, key, user{Name: "n"}))[0] }
	for i := range 6 {
		s := count(fmt.Sprint(i), fmt.Sprint("k", i%2))
		w.handle(p, s, s)
	}
	h := &history{Bus: w.bus}
	r, err := projector.NewRebuild(p, h, topic, group, w.store, nil)
	must(t, err)
	_, err = r.Fill(t.Context())
	must(t, err)
	h.ended = func() { w.handle(p, count("6", "k0")) }
	_, err = r.Swap(t.Context())
	must(t, err)
	w.handle(p, stored{userEvent("6", "k0", user{}), at(7)}, count("7", "k1"))
	got := map[string]int{}
	cur, err := w.coll.Find(t.Context(), projector.Visible())
	must(t, err)
	var all []struct {
		ID string `bson:"_id"`
		N  int    `bson:"n"`
	}
	must(t, cur.All(t.Context(), &all))
	for _, d := range all {
		got[d.ID] = d.N
	}
	if want := map[string]int{"k0": 4, "k1": 4}; !maps.Equal(got, want) {
		t.Errorf("counts %v, want %v", got, want)
	}
}
