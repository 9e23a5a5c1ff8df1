package mongodoc_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/mongodoc"
)

// Whatever is called, repeated, lost on the wire, looked through and let go: each document has the
// changes of the model, once each.
func TestUpdateOnceModel(t *testing.T) {
	t.Parallel()
	w := mongowire.New(t, mongotest.URI(t))
	r := newRing(t, mongodoc.Options{}.Grace(time.Millisecond))
	coll := through(t, w, r.coll)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		type change struct{ doc, event, step int }
		made, over := map[change]bool{}, map[int]bool{}
		id := func(doc int) string { return fmt.Sprintf("%d-%d", run, doc) }
		key := func(event int) dedupe.Key { return orderKey(fmt.Sprintf("%d-%d", run, event)) }
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				c := change{rapid.IntRange(0, 1).Draw(t, "doc"), rapid.IntRange(0, 14).Draw(t, "event"), rapid.IntRange(0, 1).Draw(t, "step")}
				if over[c.event] {
					t.Skip("no run starts once an event is done")
				}
				lost := rapid.IntRange(-6, 3).Draw(t, "lost command")
				if lost >= 0 {
					defer w.Fail(lost, rapid.Bool().Draw(t, "after it was done"))()
				}
				o := &mongodoc.UpdateOptions{Key: key(c.event), Step: fmt.Sprint(c.step), Upsert: true, MaxApplied: 5}
				u, err := r.s.UpdateOnce(r.t.Context(), coll, d("_id", id(c.doc)), d("$inc", d("n", 1)), o)
				for range 2 {
					if err != nil && !errors.Is(err, mongodoc.ErrRingFull) {
						u, err = r.s.UpdateOnce(r.t.Context(), coll, d("_id", id(c.doc)), d("$inc", d("n", 1)), o)
					}
				}
				switch {
				case errors.Is(err, mongodoc.ErrRingFull):
					if made[c] {
						t.Fatal("full, and yet the change was made before")
					}
				case err != nil:
					t.Fatal(err)
				case u.Before != made[c] && lost < 0:
					t.Fatalf("%+v, want made before: %t", u, made[c])
				default:
					made[c] = true
				}
			},
			"done": func(t *rapid.T) {
				event := rapid.IntRange(0, 14).Draw(t, "event")
				over[event] = true
				if err := each(r.store.Mark(r.t.Context(), []dedupe.Mark{{Key: key(event), State: dedupe.Done, TTL: time.Hour}})); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				want := [2]int64{}
				for c := range made {
					want[c.doc]++
				}
				for doc, n := range want {
					if n > 0 && number(r.t, document(r.t, r.coll, id(doc)), "n") != n {
						t.Fatalf("document %d: %v, want n = %d", doc, document(r.t, r.coll, id(doc)), n)
					}
				}
			},
		})
	})
}
