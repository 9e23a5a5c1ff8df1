package consumer

import (
	"errors"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// Whoever redrives a letter reopens the row of its event, whatever the row's key was made of.
func TestLetterNamesTheKeyOfItsEvent(t *testing.T) {
	t.Parallel()
	l := letter()
	identity := l.Event.Identity()
	for _, want := range []dedupe.Key{
		{ID: identity},
		{ID: "made % by\r\n Options.ID"},
		{ID: identity, Scope: "0a1b"},
	} {
		want.Topic, want.Group = l.Event.Topic, "billing"
		made := newLetter(&protocol.Letter{ID: l.ID, Delivery: &bus.Delivery{Event: l.Event, At: l.At}, Key: want}, "billing", l.Died)
		got, err := ParseLetter(whole(t, made, nats))
		if err != nil {
			t.Fatal(err)
		}
		if key, err := got.DedupeKey(); err != nil || key != want {
			t.Errorf("the key is %+v, %v; want %+v", key, err, want)
		}
	}
}

// A letter does not keep an identity that is long, and knows all the same that the key has it.
func TestLetterInAScopeNamesTheKeyOfALongIdentity(t *testing.T) {
	t.Parallel()
	l := letter()
	l.Event.ID = strings.Repeat("x", maxAttribute+1)
	want := dedupe.Key{Topic: l.Event.Topic, Group: "billing", ID: l.Event.Identity(), Scope: dedupe.AgainScope("fix")}
	made := newLetter(&protocol.Letter{ID: l.ID, Delivery: &bus.Delivery{Event: l.Event, At: l.At}, Key: want, Again: "fix"}, "billing", l.Died)
	got, err := ParseLetter(whole(t, made, nats))
	if err != nil {
		t.Fatal(err)
	}
	if key, err := got.DedupeKey(); err != nil || key != want || got.Again != "fix" {
		t.Errorf("the key is %+v, %v, in scope %q; want %+v", key, err, got.Again, want)
	}
}

func TestLetterSaysThatItsKeyWasNotKept(t *testing.T) {
	t.Parallel()
	l := letter()
	key := dedupe.Key{Topic: l.Event.Topic, Group: "billing", ID: strings.Repeat("x", maxAttribute+1)}
	made := newLetter(&protocol.Letter{ID: l.ID, Delivery: &bus.Delivery{Event: l.Event, At: l.At}, Key: key}, "billing", l.Died)
	got, err := ParseLetter(whole(t, made, nats))
	if err != nil {
		t.Fatal(err)
	}
	if key, err := got.DedupeKey(); err == nil || !strings.Contains(err.Error(), "Options.ID") {
		t.Errorf("the key is %+v, %v; want an error", key, err)
	}
	got.Parts = 1
	if _, err = got.DedupeKey(); !errors.Is(err, ErrLetterPart) {
		t.Errorf("the key of a letter in parts: %v; want ErrLetterPart", err)
	}
}
