package bustest

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func finding(h Harness, finds bool) []promise {
	return []promise{
		{name: "an event is found where it lies, and read as it was delivered", keeps: findsStored, unless: !finds},
		{name: "the next event of a topic is found behind a position", keeps: findsNext, unless: !finds},
		{name: "an event that was deleted is not found", keeps: findsDeleted, unless: !finds || h.Delete == nil},
		{
			name: "an event whose sequence was used again is not found", keeps: findsRestored,
			unless: !finds || h.Snapshot == nil,
		},
	}
}

func (f *fixture) finder(t *testing.T) bus.Finder {
	t.Helper()
	finder, ok := f.bus.(bus.Finder)
	if !ok {
		t.Fatalf("%T is no bus.Finder", f.bus)
	}
	return finder
}

// exist wants each position's event to be there, or not, and to be read accordingly.
func (f *fixture) exist(t *testing.T, at []bus.Position, want ...bool) {
	t.Helper()
	finder := f.finder(t)
	got, err := bus.Exists(t.Context(), finder, at)
	if err != nil {
		t.Fatalf("Exists: %v", err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("of %+v there are %v; want %v", at, got, want)
	}
	for i, p := range at {
		event, err := finder.Get(t.Context(), p)
		if want[i] && (err != nil || event.ID == "") || !want[i] && !errors.Is(err, bus.ErrNoEvent) {
			t.Errorf("Get of %+v: %q, %v; want it: %v", p, event.ID, err, want[i])
		}
	}
}

func findsNext(t *testing.T, f *fixture) {
	next, ok := f.bus.(bus.NextFinder)
	if !ok {
		t.Skipf("%T is no bus.NextFinder", f.bus)
	}
	f.publish(t, events(3)...)
	ds := f.fetch(t, f.subscribe(t, "g", nil), 3)
	before := bus.Position{Stream: ds[0].At.Stream}
	for i, after := range []bus.Position{before, ds[0].At, ds[1].At} {
		at, err := next.FindNext(t.Context(), ds[i].Event.Topic, after)
		if err != nil || at.Sequence != ds[i].At.Sequence || !at.Stored.Equal(ds[i].At.Stored) {
			t.Errorf("behind sequence %d: %+v, %v; want %+v", after.Sequence, at, err, ds[i].At)
		}
	}
	if at, err := next.FindNext(t.Context(), ds[2].Event.Topic, ds[2].At); err != nil || at != (bus.Position{}) {
		t.Errorf("behind the last: %+v, %v", at, err)
	}
	if at, err := next.FindNext(t.Context(), "no.such.topic", before); err != nil || at != (bus.Position{}) {
		t.Errorf("of another topic: %+v, %v", at, err)
	}
}

func findsStored(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	ds := f.fetch(t, f.subscribe(t, "g", nil), 3)
	otherTime, otherStream, beyond := ds[1].At, ds[1].At, ds[2].At
	otherTime.Stored = otherTime.Stored.Add(-time.Nanosecond)
	otherStream.Stream += "0" // another time of creation
	beyond.Sequence += 1000
	f.exist(t, []bus.Position{ds[2].At, otherTime, otherStream, beyond, ds[0].At, {Stream: ds[0].At.Stream}},
		true, false, true, false, true, false)
	for _, d := range ds {
		event, err := f.finder(t).Get(t.Context(), d.At)
		if err != nil || event.ID != d.Event.ID || event.Topic != d.Event.Topic || !bytes.Equal(event.Data, d.Event.Data) {
			t.Errorf("Get of %+v: %+v, %v; want %+v", d.At, event, err, d.Event)
		}
	}
	if _, err := f.finder(t).Find(t.Context(), []bus.Position{{Stream: "nowhere@1", Sequence: 1}}); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("Find in a stream that is not there: %v; want ErrNoStream", err)
	}
}

func findsDeleted(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	src := f.subscribe(t, "g", nil)
	ds := f.fetch(t, src, 3)
	f.h.Delete(t, f.bus, ds[0].At.Sequence, ds[1].At.Sequence)
	f.exist(t, []bus.Position{ds[0].At, ds[1].At, ds[2].At}, false, false, true)
}

func findsRestored(t *testing.T, f *fixture) {
	f.publish(t, event("kept"))
	restore := f.h.Snapshot(t, f.bus)
	src := f.subscribe(t, "g", nil)
	f.publish(t, event("gone"))
	ds := f.fetch(t, src, 2)
	f.readOut(t, src)
	if err := src.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	restore(t)
	f.exist(t, []bus.Position{ds[0].At, ds[1].At}, true, false)
	pause()
	f.publish(t, event("new"))
	f.exist(t, []bus.Position{ds[0].At, ds[1].At}, true, false)
}
