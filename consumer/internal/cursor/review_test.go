package cursor

import (
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// kept returns the only watermark of the group.
func (w *fixture) kept() dedupe.Watermark {
	w.Helper()
	all, err := w.store.Watermarks(w.Context(), "g", "t.>")
	w.check(err)
	if len(all) != 1 {
		w.Fatalf("%d watermarks are kept, want 1: %+v", len(all), all)
	}
	return all[0]
}

// restored is a stream that came back from a copy of its first 5 events, and has 5 others since.
// One process has handled those, and stored the watermark. The other has settled 10 before, and has
// not noticed.
type restored struct {
	*fixture

	fresh, stale *Cursor
	old          dedupe.Watermark // of 10, before the restore
}

func restoreUnderStale(t *testing.T) *restored {
	t.Helper()
	r := &restored{fixture: newFixture(t)}
	r.publish(names("e", 5)...)
	copied := r.snapshot()
	r.publish(names("old", 5)...)
	var opened Opened
	r.fresh, _ = r.open(r.config())
	r.stale, opened = r.open(r.config())
	r.handle(r.stale, opened.Watermark, 5)
	r.advance(r.stale)
	r.handle(r.stale, opened.Watermark, 5)
	r.old.Position = dedupe.Position(r.acked[len(r.acked)-1])
	copied.Restore()
	r.check(r.bus.StepClock("s", time.Second)) // no event is stored at the time of another
	r.publish(names("new", 5)...)
	r.check(r.fresh.Reopen(t.Context(), r.step))
	r.wants("handled", r.handle(r.fresh, r.told[0], 10), names("new", 5)...)
	r.advance(r.fresh)
	return r
}

// Who has not noticed that the stream came back from an older copy stores no watermark of what that
// does not have.
func TestWatermarkOfAnEventThatIsGoneIsNotStored(t *testing.T) {
	for name, published := range map[string]int{"another event lies there": 1, "the stream ends before": 0} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.publish(names("e", 5)...)
			copied := w.snapshot()
			w.publish("old")
			c, opened := w.open(w.config())
			w.handle(c, opened.Watermark, 5)
			w.advance(c)
			w.handle(c, opened.Watermark, 1)
			info, err := c.Poll(t.Context())
			w.check(err)
			copied.Restore()
			w.check(w.bus.StepClock("s", time.Second))
			w.publish(names("new", published)...)
			err = c.StoreWatermark(t.Context(), time.Time{}, info, w.step)
			if err == nil || !strings.Contains(err.Error(), "sequence 6") || !strings.Contains(err.Error(), "restored") {
				t.Errorf("StoreWatermark: %v, want that sequence 6 is another event's since a restore", err)
			}
			if at := w.kept(); at.Sequence != 5 || len(w.acked) != 1 {
				t.Errorf("the watermark is %d, and %d events wait for it; want 5, and 1", at.Sequence, len(w.acked))
			}
		})
	}
}

// A watermark that another process has moved to an event that is no more, or set back because of
// that, is stored again by who has settled the events there, also when it has nothing new to store.
func TestWatermarkIsRepaired(t *testing.T) {
	for name, spoil := range map[string]func(r *restored, own, old dedupe.Watermark){
		"set back": func(r *restored, own, _ dedupe.Watermark) {
			_, err := r.store.Replace(r.Context(), "g", "t.>", own, dedupe.Watermark{Position: dedupe.Position{Stream: own.Stream}})
			r.check(err)
		},
		"moved to an event that is no more": func(r *restored, own, old dedupe.Watermark) {
			_, err := r.store.Replace(r.Context(), "g", "t.>", own, old)
			r.check(err)
		},
		"moved beyond the end": func(r *restored, _, old dedupe.Watermark) {
			old.Sequence += 5
			r.check(r.store.Advance(r.Context(), "g", "t.>", old))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := restoreUnderStale(t)
			own := r.kept()
			if own.Sequence != 10 || r.old.Sequence != 10 || r.old.Stored.Equal(own.Stored) {
				t.Fatalf("the watermark is %+v, the one before the restore %+v; want two of sequence 10", own, r.old)
			}
			spoil(r, own, r.old)
			r.advance(r.fresh)
			if at := r.kept(); at.Sequence != 10 || !at.Stored.Equal(own.Stored) {
				t.Errorf("the watermark is %+v, want %+v again", at.Position, own.Position)
			}
			if !strings.Contains(r.log.String(), "storing the group's watermark again") {
				t.Errorf("logged %q; want that it is stored again", &r.log)
			}
		})
	}
}

// Nobody stores a watermark again whose event the stream does not have: it was set back with
// reason.
func TestWatermarkThatWasSetBackWithReasonStays(t *testing.T) {
	r := restoreUnderStale(t)
	_, err := r.store.Replace(t.Context(), "g", "t.>", r.kept(), dedupe.Watermark{Position: dedupe.Position{Stream: r.kept().Stream}})
	r.check(err)
	back := r.kept()
	r.stale.at, r.stale.source = r.old, r.fresh.source // it stored that, and reads the floor of the new consumer
	r.advance(r.stale)
	if at := r.kept(); at.Sequence != back.Sequence {
		t.Errorf("the watermark is %+v, want it left at %+v", at.Position, back.Position)
	}
}

// A process takes over the watermark that another one has stored, and defends it.
func TestWatermarkOfAnotherProcessIsDefended(t *testing.T) {
	w := newFixture(t)
	w.publish(names("e", 6)...)
	idle, _ := w.open(w.config())
	busy, opened := w.open(w.config())
	w.handle(busy, opened.Watermark, 6)
	w.advance(busy)
	own := w.kept()
	w.advance(idle)
	if own.Sequence != 6 {
		t.Fatalf("the watermark is %d, want 6", own.Sequence)
	}
	_, err := w.store.Replace(t.Context(), "g", "t.>", own, dedupe.Watermark{Position: dedupe.Position{Stream: own.Stream}})
	w.check(err)
	w.advance(idle)
	if at := w.kept(); at.Sequence != 6 {
		t.Errorf("the watermark is %d, want 6 again", at.Sequence)
	}
}
