package projector_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/projector"
)

// site is a bus, a store, and a collection that a group's processes keep.
type site struct {
	t     *testing.T
	bus   *membus.Bus
	store *memdedupe.Store
	coll  *driver.Collection
	live  *projector.Projection
	o     *projector.Options
	n     int
}

func newSite(t *testing.T, o *projector.Options) *site {
	t.Helper()
	b, err := membus.New(nil)
	must(t, err)
	s, err := memdedupe.New(nil)
	must(t, err)
	coll := mongotest.Collection(t)
	return &site{t: t, bus: b, store: s, coll: coll, live: projection(t, coll, projectUser, o), o: o}
}

// publish stores events, and returns them with their positions.
func (w *site) publish(es ...bus.Event) []stored {
	w.t.Helper()
	receipts, err := w.bus.Publish(w.t.Context(), es...)
	must(w.t, err)
	info, err := w.bus.Topic(w.t.Context(), topic, "", bus.Start{})
	must(w.t, err)
	out := make([]stored, len(es))
	for i, e := range es {
		out[i] = stored{event: e, at: bus.Position{Stream: info.Last.Stream, Sequence: receipts[i].Sequence}}
	}
	return out
}

// change publishes a change of a user, and has the group handle it.
func (w *site) change(key string, u user) {
	w.t.Helper()
	w.n++
	w.handle(w.live, w.publish(userEvent(fmt.Sprint(w.n), key, u))...)
}

func (w *site) handle(p *projector.Projection, es ...stored) {
	w.t.Helper()
	for _, s := range es {
		must(w.t, p.Handle(running(context.Background(), s), s.event))
	}
}

// rebuild is one of the projection, whose documents lie behind a proxy if coll does.
func (w *site) rebuild(coll *driver.Collection) *projector.Rebuild {
	w.t.Helper()
	p, err := projector.New(coll, projectUser, w.o)
	must(w.t, err)
	r, err := projector.NewRebuild(p, w.bus, topic, group, w.store, nil)
	must(w.t, err)
	return r
}

func (w *site) expect(want map[string]string) {
	w.t.Helper()
	if got := documents(w.t, w.coll); !maps.Equal(got, want) {
		w.t.Errorf("documents %v, want %v", got, want)
	}
}

// A topic that was put in partitions is made again of all its events: those on the topic itself, in
// an older layout, and in the one that is read now.
func TestRebuildReadsThePartitionsOfATopic(t *testing.T) {
	t.Parallel()
	w := newSite(t, nil)
	w.change("a", user{"a", "plain"})
	w.change("b", user{"b", "plain"})
	for n, key := range map[int]string{4: "b", 8: "c"} {
		_, err := bus.Partitioned(w.bus, n).Publish(t.Context(), userEvent(fmt.Sprint("in ", n), key, user{key, fmt.Sprint(n)}))
		must(t, err)
	}
	r := w.rebuild(w.coll)
	g, err := r.Fill(t.Context())
	must(t, err)
	if g.Events != 4 || g.Refused+g.Skipped != 0 {
		t.Errorf("%+v, want 4 events", g)
	}
	_, err = r.Swap(t.Context())
	must(t, err)
	w.expect(map[string]string{"a": "a <plain>", "b": "b <4>", "c": "c <8>"})
}

func TestRebuildMakesTheDocumentsAgain(t *testing.T) {
	t.Parallel()
	w := newSite(t, unique(projector.LastWins))
	w.change("a", user{"a", "x"})
	w.change("b", user{"b", "x"})
	w.change("gone", user{"gone", "z"})
	w.change("gone", user{})
	want := documents(t, w.coll)
	r := w.rebuild(w.coll)
	g, err := r.Fill(t.Context())
	must(t, err)
	if g.Events != 4 || g.Refused+g.Skipped != 0 || g.At.Sequence != 4 {
		t.Errorf("%+v, want 4 events", g)
	}
	d, err := r.Diff(t.Context())
	must(t, err)
	if !d.Same() || d.Equal != 2 {
		t.Errorf("%+v, want 2 documents that are the same", d)
	}
	// Whoever has spoiled a document finds that, and the swap mends it.
	_, err = w.coll.UpdateByID(t.Context(), "a", map[string]any{"$set": map[string]any{"name": "spoiled"}})
	must(t, err)
	_, err = w.coll.DeleteOne(t.Context(), map[string]any{"_id": "b"})
	must(t, err)
	if d, err = r.Diff(t.Context()); err != nil || d.Different != 1 || d.OnlyRebuilt != 1 || fmt.Sprint(d.Keys) != "[a b]" {
		t.Errorf("%+v, %v, want a difference in a, and b in the rebuild alone", d, err)
	}
	_, err = r.Swap(t.Context())
	must(t, err)
	w.expect(want)
	if _, err := r.Status(t.Context()); !errors.Is(err, projector.ErrNoRebuild) {
		t.Errorf("after the swap: %v, want %v", err, projector.ErrNoRebuild)
	}
	// The constraint holds for what comes next.
	w.change("c", user{"c", "x"})
	want["b"], want["c"] = "b <>", "c <x>"
	w.expect(want)
}

func TestRebuildWithoutTheFirstEventsIsRefused(t *testing.T) {
	t.Parallel()
	w := newSite(t, nil)
	w.change("a", user{Name: "a"})
	w.change("b", user{Name: "b"})
	must(t, w.bus.Delete("events", 1))
	if _, err := w.rebuild(w.coll).Fill(t.Context()); !errors.Is(err, projector.ErrIncomplete) {
		t.Errorf("filled with %v, want %v", err, projector.ErrIncomplete)
	}
	p, err := projector.New(w.coll, projectUser, nil)
	must(t, err)
	r, err := projector.NewRebuild(p, w.bus, topic, group, w.store, &projector.RebuildOptions{Incomplete: true})
	must(t, err)
	if g, err := r.Fill(t.Context()); err != nil || g.Events != 1 {
		t.Errorf("%+v, %v, want the event that is left", g, err)
	}
}

// What a group leaves out a rebuild leaves out: copies of what it has handled, and what was
// published for another group.
func TestRebuildLeavesOutWhatTheGroupDoes(t *testing.T) {
	t.Parallel()
	w := newSite(t, nil)
	w.change("a", user{Name: "first"})
	w.change("a", user{Name: "second"})
	_, err := w.rebuild(w.coll).Fill(t.Context())
	must(t, err)
	w.publish(
		userEvent("1", "a", user{Name: "first"}).WithControl(bus.Control{Copy: "once more"}),
		userEvent("other", "a", user{Name: "other"}).WithControl(bus.Control{Group: "others"}),
		bus.Event{ID: "bad", Topic: topic, Data: []byte("bad")},
	)
	g, err := w.rebuild(w.coll).Fill(t.Context())
	if err != nil || g.Events != 5 || g.Skipped != 2 || g.Refused != 1 || g.Refusal == "" {
		t.Errorf("%+v, %v, want 5 events, of which 2 are skipped and 1 is refused", g, err)
	}
	_, err = w.rebuild(w.coll).Swap(t.Context())
	must(t, err)
	w.expect(map[string]string{"a": "second <>"})
}

// Events that arrive between any two steps, before and after the exchange, are in the collection.
func TestRebuildWhileEventsArrive(t *testing.T) {
	t.Parallel()
	w := newSite(t, unique(projector.FirstWins))
	for i := range 20 {
		w.change(fmt.Sprint("k", i%7), user{fmt.Sprint("n", i), fmt.Sprint("e", i%3)})
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 20; ; i++ {
			select {
			case <-stop:
				return
			default:
				w.change(fmt.Sprint("k", i%7), user{fmt.Sprint("n", i), fmt.Sprint("e", i%5)})
			}
		}
	}()
	for range 3 {
		r := w.rebuild(w.coll)
		_, err := r.Fill(t.Context())
		must(t, err)
		d, err := r.Diff(t.Context())
		must(t, err)
		if !d.Same() {
			t.Errorf("%+v, want no difference", d)
		}
		_, err = r.Swap(t.Context())
		must(t, err)
	}
	close(stop)
	<-stopped
	w.expect(w.reference(projector.FirstWins))
}

// reference is what all events that are stored make of the collection.
func (w *site) reference(policy projector.Policy) map[string]string {
	w.t.Helper()
	var all []stored
	for s, err := range w.bus.Read(context.Background(), topic, bus.Range{}) {
		must(w.t, err)
		if bson.Raw(s.Event.Data).Validate() == nil {
			all = append(all, stored{event: s.Event, at: s.At})
		}
	}
	return reference(all, policy)
}

// A rebuild that is killed at any command, before the server has done it or after, is gone on with,
// and so is a swap.
func TestRebuildThatIsKilledGoesOn(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%t", applied), func(t *testing.T) {
			t.Parallel()
			for kill := 0; killRebuild(t, kill, applied); kill++ {
				if kill == 100 {
					t.Fatal("a rebuild takes more than 100 commands")
				}
			}
		})
	}
}

// killRebuild kills a rebuild at a command, and reports whether it has that many.
func killRebuild(t *testing.T, kill int, applied bool) bool {
	t.Helper()
	w := newSite(t, unique(projector.LastWins))
	for i := range 6 {
		w.change(fmt.Sprint("k", i%4), user{fmt.Sprint("n", i), fmt.Sprint("e", i%2)})
	}
	proxy := mongowire.New(t, mongotest.URI(t))
	coll := through(t, proxy, w.coll)
	undo := proxy.Cut(kill, applied)
	r := w.rebuild(coll)
	_, err := r.Fill(t.Context())
	w.change("late", user{"late", "e0"})
	if err == nil {
		_, err = r.Swap(t.Context())
	}
	w.change("later", user{"later", "e1"})
	killed := undo()
	if killed != (err != nil) {
		t.Errorf("killed at command %d: %t, and the error is %v", kill, killed, err)
	}
	r = w.rebuild(w.coll)
	_, err = r.Swap(t.Context())
	if errors.Is(err, projector.ErrNoRebuild) { // it was killed before it began, or after all was done
		_, err = r.Fill(t.Context())
		must(t, err)
		_, err = r.Swap(t.Context())
	}
	must(t, err)
	w.expect(w.reference(projector.LastWins))
	must(t, w.coll.Drop(t.Context()))
	return killed
}

// An event that a process has written to the old collection at the last moment is in the new one.
func TestEventOfTheOldCollectionIsInTheNewOne(t *testing.T) {
	t.Parallel()
	w := newSite(t, nil)
	w.change("a", user{Name: "a"})
	p, err := projector.New(w.coll, projectUser, nil)
	must(t, err)
	h := &history{Bus: w.bus}
	r, err := projector.NewRebuild(p, h, topic, group, w.store, nil)
	must(t, err)
	_, err = r.Fill(t.Context())
	must(t, err)
	h.ended = func() { w.change("b", user{Name: "b"}) }
	_, err = r.Swap(t.Context())
	must(t, err)
	w.expect(map[string]string{"a": "a <>", "b": "b <>"})
}

// history is a bus in which something happens at the end of a read, once.
type history struct {
	*membus.Bus
	ended func()
}

// Read implements bus.Reader.
func (h *history) Read(ctx context.Context, pattern string, r bus.Range) iter.Seq2[bus.Stored, error] {
	return func(yield func(bus.Stored, error) bool) {
		for s, err := range h.Bus.Read(ctx, pattern, r) {
			if !yield(s, err) {
				return
			}
		}
		if ended := h.ended; ended != nil {
			h.ended = nil
			ended()
		}
	}
}
