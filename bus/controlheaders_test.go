package bus_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
)

var redrive = bus.Control{Redriven: "g/s@1/7/9", Group: "billing", Copy: "1"}

func TestControlHeadersSayWhatTheyWereWrittenFor(t *testing.T) {
	t.Parallel()
	plain := bus.Event{ID: "1", Topic: "a", Data: []byte("x"), Headers: bus.Headers{"Traceparent": {"00-1"}}}
	for _, want := range []bus.Control{{}, redrive, {Letter: "g/s@1/7/9"}, {Group: "billing", Copy: "1", Again: "fix-17"}, {Group: " bad\r\n\xff% ü"}} {
		e := plain.WithControl(want)
		if got, err := e.Control(); err != nil || got != want {
			t.Errorf("%+v reads as %+v, %v", want, got, err)
		}
		e.Source = bus.DefaultSource // as a bus spells it out
		if got, err := e.Control(); err != nil || got != want {
			t.Errorf("%+v with the default source reads as %+v, %v", want, got, err)
		}
		for name, values := range e.Headers {
			if strings.ContainsFunc(values[0], func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("header %s cannot travel: %q", name, values)
			}
		}
		if rest := e.WithoutControl(); !reflect.DeepEqual(rest.Headers, plain.Headers) {
			t.Errorf("without control headers: %v; want %v", rest.Headers, plain.Headers)
		}
		if again := e.WithControl(bus.Control{}); !reflect.DeepEqual(again.Headers, plain.Headers) {
			t.Errorf("with no control: %v; want %v", again.Headers, plain.Headers)
		}
	}
	if len(plain.Headers) != 1 {
		t.Errorf("WithControl changed the headers that it was given: %v", plain.Headers)
	}
}

// Whatever of a received event is copied to another one, the control headers among it do nothing
// there, and are not stored.
func TestControlHeadersMeanNothingOnAnotherEvent(t *testing.T) {
	t.Parallel()
	received := bus.Event{ID: "1", Topic: "a", Source: "s", Data: []byte("x"), Headers: bus.Headers{"Kept": {"1"}}}.WithControl(
		bus.Control{Letter: "l", Redriven: "r", Group: "g", Copy: "c", Again: "a", Original: "s@1:2:3"})
	for name, change := range map[string]func(e *bus.Event){
		"topic":            func(e *bus.Event) { e.Topic = "b" },
		"id":               func(e *bus.Event) { e.ID = "2" },
		"source":           func(e *bus.Event) { e.Source = "" },
		"data":             func(e *bus.Event) { e.Data = nil },
		"letter":           func(e *bus.Event) { e.Headers.Set(bus.HeaderLetter, "m") },
		"redriven":         func(e *bus.Event) { e.Headers.Set(bus.HeaderRedriven, "m") },
		"group":            func(e *bus.Event) { e.Headers.Set(bus.HeaderGroup, "m") },
		"copy":             func(e *bus.Event) { e.Headers.Set(bus.HeaderCopy, "m") },
		"again":            func(e *bus.Event) { e.Headers.Set(bus.HeaderAgain, "b") },
		"not again":        func(e *bus.Event) { delete(e.Headers, bus.HeaderAgain) },
		"original":         func(e *bus.Event) { e.Headers.Set(bus.HeaderOriginal, "s@1:1:3") },
		"not original":     func(e *bus.Event) { delete(e.Headers, bus.HeaderOriginal) },
		"no group":         func(e *bus.Event) { delete(e.Headers, bus.HeaderGroup) },
		"no binding":       func(e *bus.Event) { delete(e.Headers, bus.HeaderBinding) },
		"an encoding":      func(e *bus.Event) { e.Headers.Set(bus.HeaderGroup, "%zz") },
		"another spelling": func(e *bus.Event) { e.Headers = bus.Headers{"Kept": {"1"}, "onceish-GROUP": {"g"}} },
	} {
		e := received
		e.Headers = e.Headers.Clone()
		change(&e)
		if c, err := e.Control(); err == nil || c != (bus.Control{}) {
			t.Errorf("%s: obeyed as %+v, %v", name, c, err)
		}
		fresh := e.WithoutControl()
		if got, want := bus.MessageID(&e), bus.MessageID(&fresh); got != want {
			t.Errorf("%s: message id %q; want %q, as without the headers", name, got, want)
		}
		if stored := bus.DropForeignControl(e); !reflect.DeepEqual(stored.Headers, bus.Headers{"Kept": {"1"}}) {
			t.Errorf("%s: stored with %v", name, stored.Headers)
		}
	}
	if stored := bus.DropForeignControl(received); !reflect.DeepEqual(stored, received) {
		t.Errorf("an event's own control headers were dropped: %v", stored.Headers)
	}
}

// An event that older versions have written control headers for is still recognised.
func TestBindingsOfStoredEventsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	e := bus.Event{ID: "1", Topic: "a", Data: []byte("x")}.WithControl(redrive)
	if got, want := e.Headers.Get(bus.HeaderBinding), "eb6da06561d3cada8053e501a318ee48"; got != want {
		t.Errorf("the binding is %q; want %q", got, want)
	}
}

func TestAScopeThatIsNoneIsNotObeyed(t *testing.T) {
	t.Parallel()
	for name, valid := range map[string]bool{
		"fix-17_b.2": true, "X": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a b": false, "a:b": false, "a/b": false, "ü": false, "\u0141": false, "a\x00": false,
	} {
		if err := bus.ValidAgain(name); (err == nil) != valid {
			t.Errorf("scope %q: %v", name, err)
		}
		e := bus.Event{ID: "1", Topic: "a"}.WithControl(bus.Control{Group: "g", Again: name})
		if c, err := e.Control(); name != "" && (err == nil) != valid || c.Again != "" && !valid {
			t.Errorf("scope %q: read as %+v, %v", name, c, err)
		}
	}
}

// FuzzBinding: control headers are obeyed on an event of the same topic, source, id and data, and
// on no other.
func FuzzBinding(f *testing.F) {
	f.Add("a", "", "1", "x", "l", "r", "g", "a", "onceish", "1", "x")
	f.Add("a:b", "", "c", "", "", "r", "g", "a", "", "b:c", "")
	f.Add("a", "b", "c", "", "", "", "%", "a", "", "{b}c", "")
	f.Fuzz(func(t *testing.T, t1, s1, i1, d1, letter, redriven, group, t2, s2, i2, d2 string) {
		want := bus.Control{Letter: letter, Redriven: redriven, Group: group}
		a := bus.Event{Topic: t1, Source: s1, ID: i1, Data: []byte(d1)}.WithControl(want)
		b := bus.Event{Topic: t2, Source: s2, ID: i2, Data: []byte(d2), Headers: a.Headers}
		same := t1 == t2 && named(s1) == named(s2) && i1 == i2 && d1 == d2
		if got, err := a.Control(); err != nil || got != want {
			t.Errorf("%+v reads as %+v, %v", want, got, err)
		}
		if want == (bus.Control{}) {
			return
		}
		if got, err := b.Control(); same != (err == nil) || same != (got == want) {
			t.Errorf("copied from %q, %q, %q, %q to %q, %q, %q, %q: %+v, %v", t1, s1, i1, d1, t2, s2, i2, d2, got, err)
		}
	})
}

func TestEventsHaveNoHeadersOfTheServer(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"Nats-Msg-Id": true, "nats-msg-id": true, "Nats-TTL": true, "Nats-Rollup": true, "Nats-Expected-Stream": true,
		"Nats-Expected-Last-Subject-Sequence": true, "Nats-Schedule": true, "Nats-Schedule-Target": true, "Nats-Batch-Id": true,
		"Nats-Batch-Commit": true, "Nats-Incr": true, "Nats-Trace-Dest": true, "Nats-Marker-Reason": true, "NATS-": true,
		"Nats-Stream": false, "nats-sequence": false, "Nats-Subject": false, "Nats-Time-Stamp": false, "Nats-Last-Sequence": false,
		"Nats": false, "X-Nats-TTL": false, "": false, bus.HeaderGroup: false,
	} {
		if got := bus.ServerHeader(name); got != want {
			t.Errorf("ServerHeader(%q) is %v; want %v", name, got, want)
		}
		e := bus.Event{ID: "1", Topic: "a", Headers: bus.Headers{name: {"1"}}}
		if err := e.Validate(); (err != nil) != want || want && !strings.Contains(err.Error(), name) {
			t.Errorf("an event with header %q: %v", name, err)
		}
	}
}
