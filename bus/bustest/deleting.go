package bustest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func deleting(h Harness, deletes, finds bool) []promise {
	return []promise{
		{name: "an event that is deleted is gone, once and for everybody", keeps: deletesOne, unless: !deletes || !finds},
		{name: "events that are deleted together are gone, and no others", keeps: deletesMany, unless: !deletes || !finds},
		{name: "an event is deleted once however many delete it at the same time", keeps: deletesAtOnce, unless: !deletes || !finds},
		{
			name: "an event whose sequence was used again is not deleted", keeps: deletesNoOther,
			unless: !deletes || !finds || h.Recreate == nil,
		},
	}
}

func (f *fixture) deleteEvents(t *testing.T, at ...bus.Position) []error {
	t.Helper()
	deleter, ok := f.bus.(bus.Deleter)
	if !ok {
		t.Fatalf("%T is no bus.Deleter", f.bus)
	}
	errs := deleter.DeleteEvents(t.Context(), at)
	if len(errs) != len(at) {
		t.Fatalf("DeleteEvents of %d events returned %d errors", len(at), len(errs))
	}
	return errs
}

func (f *fixture) deleteOne(t *testing.T, at bus.Position) error {
	t.Helper()
	return f.deleteEvents(t, at)[0]
}

// deletesMany deletes more events than a bus may want to delete at once, in any order and with some
// that are gone at both ends and between.
func deletesMany(t *testing.T, f *fixture) {
	f.publish(t, events(300)...)
	ds := f.fetch(t, f.subscribe(t, "g", nil), 300)
	at := make([]bus.Position, len(ds))
	there := make([]bool, len(ds))
	for i := range ds {
		at[i] = ds[len(ds)-1-i].At
	}
	for _, gone := range [][]bus.Position{{at[0], at[1], at[150], at[299]}, at[:290], nil} {
		if err := errors.Join(f.deleteEvents(t, gone...)...); err != nil {
			t.Errorf("DeleteEvents of %d events: %v", len(gone), err)
		}
	}
	for i := 290; i < 299; i++ {
		there[i] = true
	}
	f.exist(t, at, there...)
	mixed := []bus.Position{{Stream: "nowhere@1", Sequence: 1}, at[295]}
	if errs := f.deleteEvents(t, mixed...); !errors.Is(errs[0], bus.ErrNoStream) || errs[1] != nil {
		t.Errorf("DeleteEvents in two streams, of which one is not there: %v", errs)
	}
	there[295] = false
	f.exist(t, at, there...)
}

func deletesOne(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	src := f.subscribe(t, "g", nil)
	ds := f.fetch(t, src, 3)
	at := []bus.Position{ds[0].At, ds[1].At, ds[2].At}
	for _, again := range []string{"first", "again"} {
		if err := f.deleteOne(t, at[1]); err != nil {
			t.Errorf("DeleteEvents, %s: %v", again, err)
		}
		f.exist(t, at, true, false, true)
	}
	otherTime, beyond := at[0], at[2]
	otherTime.Stored = otherTime.Stored.Add(-time.Nanosecond)
	beyond.Sequence += 1000
	if err := f.deleteOne(t, otherTime); !errors.Is(err, bus.ErrStreamReplaced) {
		t.Errorf("DeleteEvents of an event that was stored at another time: %v; want ErrStreamReplaced", err)
	}
	if err := f.deleteOne(t, beyond); err != nil {
		t.Errorf("DeleteEvents beyond the end: %v; want nil, for it is not stored", err)
	}
	if err := f.deleteOne(t, bus.Position{Stream: "nowhere@1", Sequence: 1}); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("DeleteEvents in a stream that is not there: %v; want ErrNoStream", err)
	}
	f.exist(t, at, true, false, true)
}

func deletesAtOnce(t *testing.T, f *fixture) {
	f.publish(t, events(2)...)
	ds := f.fetch(t, f.subscribe(t, "g", nil), 2)
	at := ds[0].At
	var deleting sync.WaitGroup
	for range 8 {
		deleting.Go(func() {
			if err := f.deleteOne(t, at); err != nil {
				t.Errorf("DeleteEvents: %v", err)
			}
		})
	}
	deleting.Wait()
	f.exist(t, []bus.Position{at, ds[1].At}, false, true)
}

func deletesNoOther(t *testing.T, f *fixture) {
	f.publish(t, event("gone"))
	src := f.subscribe(t, "g", nil)
	old := f.fetch(t, src, 1)[0].At
	if err := src.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	f.h.Recreate(t, f.bus)
	pause()
	f.publish(t, event("new"))
	if err := f.deleteOne(t, old); !errors.Is(err, bus.ErrStreamReplaced) {
		t.Errorf("DeleteEvents of an event of the stream before: %v; want ErrStreamReplaced", err)
	}
	now := f.fetch(t, f.subscribe(t, "h", nil), 1)[0].At
	f.exist(t, []bus.Position{now}, true)
	beyond := old
	beyond.Sequence += 1000
	if errs := f.deleteEvents(t, old, beyond); !errors.Is(errs[0], bus.ErrStreamReplaced) {
		t.Errorf("DeleteEvents of two events of the stream before: %v; want ErrStreamReplaced for the first", errs)
	}
	f.exist(t, []bus.Position{now}, true)
}
