package projector_test

import (
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/projector"
)

func TestJSONIsTheDocument(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	byKey, byField := projection(t, coll, projector.JSON(""), nil), projection(t, coll, projector.JSON("id"), nil)
	for i, c := range []struct {
		p         *projector.Projection
		key, data string
		refused   bool
	}{
		{p: byKey, key: "a", data: `{"name":"A","email":"x","at":{"$date":"2026-01-02T03:04:05Z"}}`},
		{p: byKey, key: "b", data: `{"name":"B"}`},
		{p: byKey, key: "b", data: "null"},
		{p: byKey, key: "a", data: `[1]`, refused: true},
		{p: byKey, data: `{"name":"no key"}`, refused: true},
		{p: byKey, refused: true},
		{p: byField, key: "ignored", data: `{"id":"c","name":"C"}`},
		{p: byField, data: `{"id":7,"name":"seven"}`},
		{p: byField, data: `{"id":9007199254740993,"name":"large"}`},
		{p: byField, data: `{"id":1.5}`, refused: true},
		{p: byField, data: `{"name":"no id"}`, refused: true},
		{p: byField, key: "a", data: "", refused: true},
	} {
		s := stored{bus.Event{ID: "e", Topic: topic, Key: c.key, Data: []byte(c.data)}, at(uint64(i + 1))}
		if err := c.p.Handle(running(t.Context(), s), s.event); (err != nil) != c.refused {
			t.Errorf("key %q, data %s: %v, want refused: %t", c.key, c.data, err, c.refused)
		}
	}
	got := documents(t, coll)
	for key, want := range map[string]string{"a": "A <x>", "c": "C <>", "7": "seven <>", "9007199254740993": "large <>"} {
		if got[key] != want {
			t.Errorf("the document %s is %q, want %q", key, got[key], want)
		}
	}
	if len(got) != 4 {
		t.Errorf("there are %d documents: %v, want 4", len(got), got)
	}
}

func TestUniqueFieldsAreParsed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]projector.Unique{
		"email":             {Field: "email", Policy: projector.DeadLetter},
		"email:last":        {Field: "email", Policy: projector.LastWins},
		"email:first":       {Field: "email", Policy: projector.FirstWins},
		"email:dead-letter": {Field: "email", Policy: projector.DeadLetter},
		"":                  {},
		"_id":               {},
		"a.b":               {},
		"email:any":         {},
	} {
		if got, err := projector.ParseUnique(text); got != want || (err != nil) != (want == projector.Unique{}) {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
}
