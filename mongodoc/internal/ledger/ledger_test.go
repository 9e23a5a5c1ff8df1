package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
)

// value is a document as a server returns it.
func value(t testing.TB, v any) bson.RawValue {
	t.Helper()
	kind, b, err := bson.MarshalValue(v)
	if err != nil {
		t.Fatal(err)
	}
	return bson.RawValue{Type: kind, Value: b}
}

func TestMarksDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, k := range []dedupe.Key{{}, {Topic: "a"}, {Group: "a"}, {ID: "a"}, {Topic: "a", Group: "b"}, {Topic: "ab"}, {ID: "a\x00"}, {ID: "A"}, {ID: "a", Scope: "a"}} {
		for _, step := range []string{"", "a", "b"} {
			mark := string(ledger.Mark(k, step).Data)
			if other, ok := seen[mark]; ok || len(mark) != 16 {
				t.Errorf("%+v %q has the mark of %s", k, step, other)
			}
			seen[mark] = k.String() + step
		}
	}
	id := ledger.EventID(dedupe.Key{ID: "a"}, "", "d", 0)
	for _, other := range []string{
		ledger.EventID(dedupe.Key{ID: "b"}, "", "d", 0), ledger.EventID(dedupe.Key{ID: "a", Scope: "p"}, "", "d", 0), ledger.EventID(dedupe.Key{ID: "a"}, "s", "d", 0),
		ledger.EventID(dedupe.Key{ID: "a"}, "", "e", 0), ledger.EventID(dedupe.Key{ID: "a"}, "", "d", 1),
	} {
		if other == id {
			t.Errorf("two events have the id %s", id)
		}
	}
}

// What is in documents outlives versions of this package.
func TestMarksStay(t *testing.T) {
	t.Parallel()
	k := dedupe.Key{Topic: "t", Group: "g", ID: "a"}
	if got := ledger.EventID(k, "s", "d", 1); got != "74193e85-71c2-8eb3-9ebd-2ff07a48dda5" {
		t.Errorf("the id of an event is %s", got)
	}
	if got := fmt.Sprintf("%x", ledger.Mark(k, "s").Data); got != "1a2994b4423f4a03bc92ecf578eeffb4" {
		t.Errorf("a mark is %s", got)
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(5)
	mark := ledger.Mark(dedupe.Key{ID: "a"}, "")
	made := ledger.NewEntry(mark, "row", at)
	want := ledger.Entry{Mark: string(mark.Data), ID: "row", Until: 5}
	over := ledger.Entry{Mark: "b", Until: 6, Done: 7}
	got, err := ledger.ParseEntries(value(t, bson.A{made, want.Document(), over.Document()}))
	if err != nil || !reflect.DeepEqual(got, []ledger.Entry{want, want, over}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ledger.ParseEntries(bson.RawValue{}); err != nil || got != nil {
		t.Errorf("none: %v, %v", got, err)
	}
	for _, v := range []any{"x", bson.A{1}, bson.A{bson.D{}}, bson.A{bson.D{{Key: "k", Value: bson.Binary{}}}}} {
		if got, err := ledger.ParseEntries(value(t, v)); !errors.Is(err, ledger.ErrMalformed) {
			t.Errorf("%v: %v, %v", v, got, err)
		}
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	var events bson.A
	for _, id := range []string{"a", "b"} {
		e, err := ledger.NewEvent(&bus.Event{ID: id, Topic: "t"}, time.Unix(0, 100))
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	for _, c := range []struct {
		field bson.D
		first uint64
	}{
		{bson.D{{Key: "events", Value: events}}, 101},
		{bson.D{{Key: "events", Value: events}, {Key: "base", Value: int64(7)}}, 8},
	} {
		q, err := ledger.ParseQueue(value(t, c.field))
		if err != nil || q.Seq(0) != c.first || q.Seq(1) != c.first+1 || q.Events[1].Event.ID != "b" {
			t.Errorf("%v: %+v, %v", c.field, q, err)
		}
	}
	for _, v := range []any{
		1,
		bson.D{},
		bson.D{{Key: "events", Value: bson.A{}}},
		bson.D{{Key: "events", Value: bson.A{1}}},
		bson.D{{Key: "events", Value: bson.A{bson.D{}}}},
		bson.D{{Key: "events", Value: events}, {Key: "base", Value: int64(-1)}},
		bson.D{{Key: "events", Value: events}, {Key: "base", Value: int64(1<<63 - 2)}},
	} {
		if q, err := ledger.ParseQueue(value(t, v)); !errors.Is(err, ledger.ErrMalformed) {
			t.Errorf("%v: %+v, %v", v, q, err)
		}
	}
}

// What goes in comes out, or is refused before it waits.
func FuzzEvent(f *testing.F) {
	f.Add("id", "topic", "key", "type", "source", "ct", "name", "value", []byte("data"), int64(5), int64(7))
	f.Add("$id", "t.*", "\xff", "", "a.b", "$c", "a.b", "\x00", []byte(nil), int64(0), int64(0))
	f.Add("a", "b", "", "", "", "", "", "", []byte{}, int64(-62135596800), int64(0))
	f.Fuzz(func(t *testing.T, id, topic, key, kind, source, ct, name, text string, data []byte, sec, nsec int64) {
		e := bus.Event{ID: id, Topic: topic, Key: key, Type: kind, Source: source, ContentType: ct, Data: data}
		if name != "" {
			e.Headers = bus.Headers{name: {text, ""}}
		}
		if sec != 0 {
			e.Time = time.Unix(sec%(1<<40), nsec%1e9).UTC()
		}
		doc, err := ledger.NewEvent(&e, time.Unix(0, 9))
		if err != nil {
			if !errors.Is(err, bus.ErrInvalidEvent) {
				t.Fatal(err)
			}
			return
		}
		got, err := ledger.ParseEvent(value(t, doc))
		if err != nil || got.Added != 9 {
			t.Fatalf("%+v: %+v, %v", e, got, err)
		}
		back := got.Event
		sameTime := back.Time.Equal(e.Time)
		sameData := bytes.Equal(back.Data, e.Data)
		back.Time, back.Data = e.Time, e.Data
		if !sameTime || !sameData || !reflect.DeepEqual(back, e) {
			t.Fatalf("%+v came out as %+v", e, got.Event)
		}
	})
}

// What somebody else wrote is an error, and nothing worse.
func FuzzParse(f *testing.F) {
	good, err := bson.Marshal(bson.D{
		{Key: "applied", Value: bson.A{ledger.NewEntry(bson.Binary{}, "id", time.UnixMilli(1))}},
		{Key: "base", Value: 1.5},
		{Key: "events", Value: bson.A{bson.D{{Key: "id", Value: "a"}, {Key: "topic", Value: "t"}, {Key: "headers", Value: bson.A{bson.D{}}}}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{5, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, doc []byte) {
		if bson.Raw(doc).Validate() != nil {
			return
		}
		field := bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: doc}
		if q, err := ledger.ParseQueue(field); err == nil && (len(q.Events) == 0 || q.Seq(len(q.Events)-1) > 1<<63-1) {
			t.Fatalf("%+v", q)
		}
		if _, err := ledger.ParseEntries(bson.Raw(doc).Lookup("applied")); err != nil && !errors.Is(err, ledger.ErrMalformed) {
			t.Fatal(err)
		}
	})
}

// What a handler passes on of the event that it was given does no harm, and what a bus would refuse
// later is refused now.
func TestEventsKeepNoHeadersOfOthers(t *testing.T) {
	t.Parallel()
	received := bus.Event{ID: "1", Topic: "t", Headers: bus.Headers{"Kept": {"1"}}}.WithControl(bus.Control{Letter: "l", Group: "g"})
	doc, err := ledger.NewEvent(&bus.Event{ID: "2", Topic: "t", Headers: received.Headers}, time.Unix(0, 9))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ledger.ParseEvent(value(t, doc))
	if want := (bus.Headers{"Kept": {"1"}}); err != nil || !reflect.DeepEqual(got.Event.Headers, want) {
		t.Errorf("kept with headers %v, %v; want %v", got.Event.Headers, err, want)
	}
	for _, name := range []string{"Nats-Msg-Id", "nats-expected-stream"} {
		if _, err := ledger.NewEvent(&bus.Event{ID: "2", Topic: "t", Headers: bus.Headers{name: {"1"}}}, time.Unix(0, 9)); !errors.Is(err, bus.ErrInvalidEvent) {
			t.Errorf("header %s: %v; want ErrInvalidEvent", name, err)
		}
	}
}
