package consumer_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// An edited letter is read back from what is stored of it, in parts and in one event, with the
// identity of its event, and the same change has the same ID.
func TestEditedLetterIsStoredUnderAnIDOfItsContent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[a-z/%{} ]{1,20}`)
		original := consumer.Letter{
			ID: text.Draw(rt, "letter"), Group: "billing", Reason: "permanent", Claimed: time.Unix(1, 0).UTC(), Died: time.Unix(2, 0).UTC(),
			At:    bus.Position{Stream: "orders@1", Sequence: 7, Stored: time.Unix(1, 0).UTC()},
			Event: bus.Event{ID: text.Draw(rt, "id"), Topic: "order.placed", Source: text.Draw(rt, "source"), Key: "k", Data: []byte("a"), Headers: bus.Headers{"Tenant": {"a"}}},
		}
		change := original.Event
		change.Data = rapid.SliceOfN(rapid.Byte(), 2, 3000).Draw(rt, "data")
		change.ID, change.Topic, change.Source = "another", "another", "another"
		edited, again := original.WithEvent(change), original.WithEvent(change)
		next := edited.WithEvent(original.Event)
		if edited.ID != again.ID || edited.ID == original.ID || next.ID == edited.ID || next.ID == original.WithEvent(original.Event).ID || next.Edited != original.ID {
			rt.Fatalf("ids %q, %q and %q, edited %q", edited.ID, again.ID, next.ID, next.Edited)
		}
		info := &bus.TopicInfo{MaxBytes: rapid.SampledFrom([]int{0, 4 << 10}).Draw(rt, "room")}
		parts, stored, err := edited.Events("dead.billing", info)
		if err != nil {
			rt.Fatal(err)
		}
		if of, ok := consumer.LetterText(&stored, "Edited"); !ok || of != original.ID {
			rt.Fatalf("LetterText: %q, %v; want %q", of, ok, original.ID)
		}
		got, err := consumer.ParseLetter(stored)
		if err != nil {
			rt.Fatal(err)
		}
		if err := got.Join(parts...); err != nil {
			rt.Fatal(err)
		}
		want := original.Event
		want.Data = change.Data
		if got.ID != edited.ID || got.Edited != original.ID || !reflect.DeepEqual(got.Event, want) {
			rt.Errorf("read back as %+v; want %+v", got, want)
		}
	})
}

func TestEditedLetterThatFindsNoRoomIsRefused(t *testing.T) {
	t.Parallel()
	l := consumer.Letter{ID: "1", Group: "billing", Event: bus.Event{ID: "1", Topic: "order.placed"}}
	edited := l.WithEvent(bus.Event{Data: make([]byte, 10_000)})
	if _, _, err := edited.Events("dead.billing", &bus.TopicInfo{MaxBytes: 1000}); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("Events: %v; want ErrTooLarge", err)
	}
}
