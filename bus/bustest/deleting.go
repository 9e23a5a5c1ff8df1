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
		{name: "an event is deleted once however many delete it at the same time", keeps: deletesAtOnce, unless: !deletes || !finds},
		{
			name: "an event whose sequence was used again is not deleted", keeps: deletesNoOther,
			unless: !deletes || !finds || h.Recreate == nil,
		},
	}
}

func (f *fixture) deleter(t *testing.T) bus.Deleter {
	t.Helper()
	deleter, ok := f.bus.(bus.Deleter)
	if !ok {
		t.Fatalf("%T is no bus.Deleter", f.bus)
	}
	return deleter
}

func deletesOne(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	src := f.subscribe(t, "g", nil)
	ds := f.fetch(t, src, 3)
	at := []bus.Position{ds[0].At, ds[1].At, ds[2].At}
	for _, again := range []string{"first", "again"} {
		if err := f.deleter(t).DeleteEvent(t.Context(), at[1]); err != nil {
			t.Errorf("DeleteEvent, %s: %v", again, err)
		}
		f.exist(t, at, true, false, true)
	}
	otherTime, beyond := at[0], at[2]
	otherTime.Stored = otherTime.Stored.Add(-time.Nanosecond)
	beyond.Sequence += 1000
	if err := f.deleter(t).DeleteEvent(t.Context(), otherTime); !errors.Is(err, bus.ErrStreamReplaced) {
		t.Errorf("DeleteEvent of an event that was stored at another time: %v; want ErrStreamReplaced", err)
	}
	if err := f.deleter(t).DeleteEvent(t.Context(), beyond); err != nil {
		t.Errorf("DeleteEvent beyond the end: %v; want nil, for it is not stored", err)
	}
	if err := f.deleter(t).DeleteEvent(t.Context(), bus.Position{Stream: "nowhere@1", Sequence: 1}); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("DeleteEvent in a stream that is not there: %v; want ErrNoStream", err)
	}
	f.exist(t, at, true, false, true)
}

func deletesAtOnce(t *testing.T, f *fixture) {
	f.publish(t, events(2)...)
	ds := f.fetch(t, f.subscribe(t, "g", nil), 2)
	deleter, at := f.deleter(t), ds[0].At
	var deleting sync.WaitGroup
	for range 8 {
		deleting.Go(func() {
			if err := deleter.DeleteEvent(t.Context(), at); err != nil {
				t.Errorf("DeleteEvent: %v", err)
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
	if err := f.deleter(t).DeleteEvent(t.Context(), old); !errors.Is(err, bus.ErrStreamReplaced) {
		t.Errorf("DeleteEvent of an event of the stream before: %v; want ErrStreamReplaced", err)
	}
	f.exist(t, []bus.Position{f.fetch(t, f.subscribe(t, "h", nil), 1)[0].At}, true)
}
