package cursor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a stream, a store, and the cursor of a group that handles at once what it fetches.
type fixture struct {
	*testing.T

	bus   *membus.Bus
	store *memdedupe.Store
	log   bytes.Buffer
	told  []bus.Position // watermarks that the machine was told
	acked []bus.Position
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	b, err := membus.New(&membus.Options{Streams: []membus.Stream{{Name: "s", Topics: []string{"t.>"}, DuplicateWindow: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	store, err := memdedupe.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{T: t, bus: b, store: store}
}

func (w *fixture) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *fixture) config() Config {
	return Config{
		Bus: w.bus, Watermarks: w.store, Topic: "t.>", Group: "g", AckWait: time.Minute,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
}

func (w *fixture) publish(ids ...string) {
	w.Helper()
	for _, id := range ids {
		_, err := w.bus.Publish(w.Context(), bus.Event{ID: id, Topic: "t.a"})
		w.check(err)
	}
}

func (w *fixture) open(o Config) (*Cursor, Opened) {
	w.Helper()
	c := New(o)
	opened, err := c.Open(w.Context())
	w.check(err)
	return c, opened
}

// handle fetches so many and settles them, as the consumer does: what its watermark covers too.
func (w *fixture) handle(c *Cursor, watermark bus.Position, n int) (ran []string) {
	w.Helper()
	ds, err := c.Source().(*membus.Source).TryFetch(n)
	w.check(err)
	for _, d := range ds {
		if !watermark.Covers(d.At) {
			ran = append(ran, d.Event.ID)
		}
		w.check(d.Ack(w.Context()))
		w.acked = append(w.acked, d.At)
	}
	return ran
}

func (w *fixture) advance(c *Cursor) {
	w.Helper()
	w.check(c.Advance(w.Context(), w.step))
}

func (w *fixture) step(f func(Watermarked, time.Time)) { f(w, time.Time{}) }

// SetWatermark implements Watermarked.
func (w *fixture) SetWatermark(_ time.Time, at bus.Position) {
	w.told, w.acked = append(w.told, at), nil
}

// SettledUpTo implements Watermarked.
func (w *fixture) SettledUpTo(_ time.Time, stream string, floor uint64) []bus.Position {
	return slices.DeleteFunc(slices.Clone(w.acked), func(p bus.Position) bool { return p.Stream != stream || p.Sequence > floor })
}

// SetAckWait implements Watermarked.
func (w *fixture) SetAckWait(time.Duration) {}

// SetBusTime implements Watermarked.
func (w *fixture) SetBusTime(_, _ time.Time) {}

// SetFloor implements Watermarked.
func (w *fixture) SetFloor(time.Time, string, uint64) {}

// WatermarkStored implements Watermarked.
func (w *fixture) WatermarkStored(_ time.Time, at bus.Position) {
	w.acked = slices.DeleteFunc(w.acked, func(p bus.Position) bool { return p.Sequence <= at.Sequence })
}

func (w *fixture) wants(what string, got []string, want ...string) {
	w.Helper()
	if !slices.Equal(got, want) {
		w.Errorf("%s: %q, want %q; log:\n%s", what, got, want, &w.log)
	}
}

func names(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(prefix, i+1))
	}
	return out
}

func (w *fixture) snapshot() *membus.Snapshot {
	w.Helper()
	s, err := w.bus.Snapshot("s")
	w.check(err)
	return s
}

// A stream that was restored under another time of creation goes on from its watermark: nothing is
// repeated or skipped.
func TestRestoredStreamGoesOn(t *testing.T) {
	w := newFixture(t)
	w.publish(names("e", 8)...)
	c, opened := w.open(w.config())
	if opened.Known || opened.Watermark.Sequence != 0 {
		t.Errorf("opened %+v; want a new group at the first event", opened)
	}
	w.handle(c, opened.Watermark, 5)
	w.advance(c)
	copied := w.snapshot()
	copied.RestoreAs()
	w.publish("new")
	w.check(c.Reopen(t.Context(), w.step))
	watermark := w.told[0]
	if watermark.Sequence != 5 || watermark.Stream == opened.Watermark.Stream {
		t.Errorf("the machine was told %+v; want sequence 5 of another stream than %q", watermark, opened.Watermark.Stream)
	}
	w.wants("handled after the restore", w.handle(c, watermark, 10), "e6", "e7", "e8", "new")
	if _, opened = w.open(w.config()); !opened.Known || opened.Watermark != watermark {
		t.Errorf("another process opened %+v; want %+v, of a known group", opened, watermark)
	}
}

// Of a stream that came back from an older copy nothing is skipped: not what was published since
// under sequences that were used before, though the clock may have stepped back as well.
func TestOlderCopySkipsNothing(t *testing.T) {
	for _, as := range []bool{true, false} {
		for _, published := range []int{0, 2, 20} {
			t.Run(fmt.Sprintf("another creation %v, %d published", as, published), func(t *testing.T) {
				w := newFixture(t)
				c, opened := w.open(w.config())
				var copied *membus.Snapshot
				for i, id := range names("e", 12) {
					w.publish(id)
					w.handle(c, opened.Watermark, 1)
					w.advance(c)
					if i == 6 {
						copied = w.snapshot()
					}
				}
				if as {
					copied.RestoreAs()
				} else {
					copied.Restore()
				}
				w.check(w.bus.StepClock("s", -time.Hour))
				w.publish(names("n", published)...)
				w.check(c.Reopen(t.Context(), w.step))
				if at := w.told[0]; at.Sequence > 7 || at.Sequence < 4 {
					t.Errorf("the watermark is %+v; want a little below the end of the copy, 7", at)
				}
				w.publish("last")
				ran := w.handle(c, w.told[0], 100)
				ran = slices.DeleteFunc(ran, func(id string) bool { return id[0] == 'e' }) // marks know these
				w.wants("handled", ran, append(names("n", published), "last")...)
				w.advance(c)
				if !strings.Contains(w.log.String(), "copy") {
					t.Errorf("logged %q; want that it is a copy", &w.log)
				}
			})
		}
	}
}

// A stream that was deleted and made again is read from its first event, whether a store keeps
// watermarks or not.
func TestRecreatedStreamStartsAtItsFirstEvent(t *testing.T) {
	for _, kept := range []bool{true, false} {
		t.Run(fmt.Sprint("kept ", kept), func(t *testing.T) {
			w := newFixture(t)
			w.publish(names("e", 3)...)
			o := w.config()
			o.From = bus.Start{Latest: true}
			if !kept {
				o.Watermarks = nil
			}
			c, opened := w.open(o)
			w.publish("e4")
			w.wants("handled", w.handle(c, opened.Watermark, 10), "e4")
			w.advance(c)
			w.check(w.bus.Recreate("s"))
			w.publish(names("n", 2)...)
			w.check(c.Reopen(t.Context(), w.step))
			if w.told[0].Sequence != 0 {
				t.Errorf("the watermark is %+v; want none", w.told[0])
			}
			w.wants("handled of the new stream", w.handle(c, w.told[0], 10), "n1", "n2")
		})
	}
}

// A stream that has events as old as those that were handled, and none of these, is neither skipped
// nor repeated: somebody says where to go on.
func TestForeignStreamIsRefused(t *testing.T) {
	w := newFixture(t)
	w.publish(names("e", 5)...)
	c, opened := w.open(w.config())
	w.handle(c, opened.Watermark, 5)
	w.advance(c)
	w.check(w.bus.StepClock("s", -time.Hour))
	w.check(w.bus.Recreate("s"))
	w.publish(names("n", 3)...)
	err := c.Reopen(t.Context(), w.step)
	info, failed := w.bus.Topic(t.Context(), "t.>", "g", bus.Start{})
	w.check(failed)
	if !errors.Is(err, ErrStreamReplaced) || len(w.told) > 0 || info.Known {
		t.Fatalf("Reopen: %v, told %v; want ErrStreamReplaced, and nothing made", err, w.told)
	}
	for _, want := range []string{"sequence 5", "sequences 1", "to 3", "Options.FromStream", info.Start.Stream} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
	for _, other := range []string{"", opened.Watermark.Stream} {
		o := w.config()
		o.FromStream, o.From = other, bus.Start{Latest: true}
		if _, err := New(o).Open(t.Context()); !errors.Is(err, ErrStreamReplaced) {
			t.Errorf("Open from stream %q: %v; want ErrStreamReplaced", other, err)
		}
	}
	o := w.config()
	o.FromStream = info.Start.Stream
	c, opened = w.open(o)
	w.wants("handled", w.handle(c, opened.Watermark, 10), "n1", "n2", "n3")
}

// Processes that look at a restored stream at once agree where it goes on.
func TestManyResolveAtOnce(t *testing.T) {
	w := newFixture(t)
	w.publish(names("e", 9)...)
	c, opened := w.open(w.config())
	w.handle(c, opened.Watermark, 7)
	w.advance(c)
	w.snapshot().RestoreAs()
	found := make([]bus.Position, 16)
	var all sync.WaitGroup
	for i := range found {
		o := w.config()
		o.Log = slog.New(slog.DiscardHandler)
		all.Go(func() {
			opened, err := New(o).Open(t.Context())
			if err != nil {
				t.Errorf("Open: %v", err)
			}
			found[i] = opened.Watermark
		})
	}
	all.Wait()
	for _, at := range found {
		if at != found[0] || at.Sequence != 7 {
			t.Errorf("one goes on from %+v, another from %+v; want sequence 7", found[0], at)
		}
	}
}

// Where the watermark's own event was deleted, what it covers stays done, and nothing after it is
// skipped, though the clock stepped back.
func TestDeletedWatermark(t *testing.T) {
	for _, deleted := range [][]uint64{{5}, {1, 2, 3, 4, 5}, {3, 4, 5}} {
		t.Run(fmt.Sprint(deleted), func(t *testing.T) {
			w := newFixture(t)
			w.publish(names("e", 5)...)
			w.check(w.bus.StepClock("s", -time.Hour))
			w.publish(names("n", 2)...)
			c, opened := w.open(w.config())
			for range 5 {
				w.handle(c, opened.Watermark, 1)
				w.advance(c)
			}
			w.check(w.bus.Delete("s", deleted...))
			w.check(w.bus.DeleteGroup("t.>", "g"))
			w.check(c.Reopen(t.Context(), w.step))
			if w.told[0].Sequence != 5 {
				t.Errorf("the watermark is %+v; want that of sequence 5", w.told[0])
			}
			w.wants("handled", w.handle(c, w.told[0], 10), "n1", "n2")
		})
	}
}

// blind is a bus that cannot look up events.
type blind struct{ bus.Bus }

// On a bus that cannot look up events a lost consumer resumes some minutes before the watermark,
// for clocks step back.
func TestResumesWithAMargin(t *testing.T) {
	w := newFixture(t)
	w.publish(names("e", 3)...)
	o := w.config()
	o.Bus = blind{w.bus}
	c, opened := w.open(o)
	w.handle(c, opened.Watermark, 3)
	w.advance(c)
	w.check(w.bus.StepClock("s", -5*time.Minute))
	w.publish(names("n", 3)...)
	w.check(w.bus.DeleteGroup("t.>", "g"))
	w.check(c.Reopen(t.Context(), w.step))
	w.wants("handled", w.handle(c, w.told[0], 10), "n1", "n2", "n3")
}

// A group that was told to start at a time does so once: were its consumer lost, that time could be
// another place.
func TestStartAtATimeIsKeptAsAnEvent(t *testing.T) {
	w := newFixture(t)
	w.publish(names("e", 3)...)
	o := w.config()
	o.From = bus.Start{Time: time.Now().Add(time.Second)}
	c, opened := w.open(o)
	if opened.Watermark.Sequence != 3 {
		t.Errorf("opened at %+v; want after sequence 3", opened.Watermark)
	}
	w.check(w.bus.StepClock("s", -5*time.Minute))
	w.publish(names("n", 2)...)
	w.check(w.bus.DeleteGroup("t.>", "g"))
	w.check(c.Reopen(t.Context(), w.step))
	w.wants("handled", w.handle(c, w.told[0], 10), "n1", "n2")
}

// A group that has a watermark is not new, whether it has a consumer or not; neither is one that
// has a consumer.
func TestKnown(t *testing.T) {
	w := newFixture(t)
	for _, step := range []struct {
		what  string
		do    func()
		known bool
	}{
		{"at first", func() {}, false},
		{"again", func() {}, true},
		{"without its consumer", func() { w.check(w.bus.DeleteGroup("t.>", "g")) }, true},
		{"without its watermark", func() { w.store, _ = memdedupe.New(nil) }, true},
	} {
		step.do()
		if _, opened := w.open(w.config()); opened.Known != step.known {
			t.Errorf("%s: known is %v, want %v", step.what, opened.Known, step.known)
		}
	}
}

// What the stream dropped while the group had no consumer is told once.
func TestTellsWhatWasDroppedMeanwhile(t *testing.T) {
	w := newFixture(t)
	w.publish(names("e", 3)...)
	c, opened := w.open(w.config())
	w.handle(c, opened.Watermark, 3)
	w.advance(c)
	w.check(w.bus.DeleteGroup("t.>", "g"))
	w.publish(names("n", 4)...)
	w.check(w.bus.Purge("s", ">"))
	w.check(c.Reopen(t.Context(), w.step))
	for _, want := range []uint64{4, 0} {
		if n := c.NewlyLost(); n != want {
			t.Errorf("%d events were lost, want %d", n, want)
		}
	}
}

// An error of the store or the bus leaves the cursor as it was. A store that is empty, while the
// bus knows what the group has settled, is not the one that was used before: it is said, once,
// and only then.
func TestStoreThatForgotIsToldOf(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	const said = "the bus knows the group on this topic and the store does not"
	w.publish("1", "2")
	c, opened := w.open(w.config())
	w.handle(c, opened.Watermark, 2)
	w.advance(c)
	w.open(w.config())
	if strings.Contains(w.log.String(), said) {
		t.Errorf("of the same store it is said: %s", &w.log)
	}
	other, err := memdedupe.New(nil)
	w.check(err)
	w.store = other
	w.open(w.config())
	w.open(w.config())
	if n := strings.Count(w.log.String(), said); n != 1 {
		t.Errorf("said %d times: %s", n, &w.log)
	}
}

// Two clusters that share a store share marks. Whoever sees the watermark of another stream move
// says so, once; one that stands still is that of a stream that was replaced.
func TestTwoClustersOnOneStoreAreToldOf(t *testing.T) {
	t.Parallel()
	one, two := newFixture(t), newFixture(t)
	two.store = one.store
	const said = "another process moves the group's watermark in another stream"
	_, err := one.store.Begin(t.Context(), "g", "t.>", dedupe.Watermark{Position: dedupe.Position{Stream: "gone@1", Sequence: 0}})
	one.check(err)
	here, opened := one.open(one.config())
	var there *Cursor
	for i := range 3 * rivalsEvery {
		one.publish(fmt.Sprint("a", i))
		one.handle(here, opened.Watermark, 1)
		one.advance(here)
		if i < rivalsEvery {
			continue
		}
		if strings.Contains(one.log.String(), said) && i == rivalsEvery {
			t.Fatalf("said of a stream that is gone: %s", &one.log)
		}
		if there == nil {
			there, _ = two.open(two.config())
		}
		two.publish(fmt.Sprint("b", i))
		two.handle(there, bus.Position{}, 1)
		two.advance(there)
	}
	if n := strings.Count(one.log.String(), said); n != 1 {
		t.Errorf("said %d times: %s", n, &one.log)
	}
}

func TestOpenFails(t *testing.T) {
	w := newFixture(t)
	c, opened := w.open(w.config())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Reopen(ended, w.step); err == nil || len(w.told) > 0 {
		t.Errorf("Reopen under an ended context: %v, told %v", err, w.told)
	}
	w.publish("e1")
	w.wants("handled", w.handle(c, opened.Watermark, 1), "e1")
}

// A trail is short, ascends, and has a point not much further back than any distance.
func TestThin(t *testing.T) {
	var trail []dedupe.Point
	for to := uint64(2); to < 20_000; to++ {
		trail = thinTrail(append(trail, dedupe.Point{Sequence: to - 1}), to)
		if len(trail) > 64 || !slices.IsSortedFunc(trail, func(a, b dedupe.Point) int { return int(a.Sequence) - int(b.Sequence) }) {
			t.Fatalf("at %d: %v", to, trail)
		}
		for back := uint64(1); back < to; back *= 2 {
			i := slices.IndexFunc(trail, func(p dedupe.Point) bool { return to-p.Sequence >= back && to-p.Sequence <= 4*back })
			if i < 0 && to > 4*back {
				t.Fatalf("at %d nothing lies between %d and %d back: %v", to, back, 4*back, trail)
			}
		}
	}
}
