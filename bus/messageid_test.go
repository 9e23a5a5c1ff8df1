package bus_test

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
)

func TestMessageIDIsReadable(t *testing.T) {
	t.Parallel()
	e := bus.Event{ID: "order 17", Topic: "orders.new", Source: "/shops/12", Data: []byte("x")}
	const want = "event:orders.new:/shops/12:order%2017:2d711642b726b04401627ca9fbac32f5:"
	if got := bus.MessageID(&e); got != want {
		t.Errorf("MessageID is %q; want %q", got, want)
	}
	e = e.WithControl(bus.Control{Redriven: "g/s/1"})
	if got := bus.MessageID(&e); got != want+"g/s/1" {
		t.Errorf("MessageID of a redriven event is %q; want %q", got, want+"g/s/1")
	}
	e = e.WithControl(bus.Control{Copy: "2 3"})
	if got := bus.MessageID(&e); got != want+":2%203" {
		t.Errorf("MessageID of a copy is %q; want %q", got, want+":2%203")
	}
	e = e.WithControl(bus.Control{Copy: "2 3", Again: "fix"})
	if got := bus.MessageID(&e); got != want+":2%203:fix" {
		t.Errorf("MessageID of a copy that runs again is %q; want %q", got, want+":2%203:fix")
	}
	e = e.WithControl(bus.Control{Letter: "g/s/1"})
	if got := bus.MessageID(&e); got != "letter:orders.new:g/s/1" {
		t.Errorf("MessageID of a dead letter is %q", got)
	}
	e = e.WithControl(bus.Control{Letter: "g/s/1", Copy: "2"})
	if got := bus.MessageID(&e); got != "letter:orders.new:g/s/1:2" {
		t.Errorf("MessageID of a dead letter's copy is %q", got)
	}
}

func TestMessageIDIgnoresWhatARepeatMayChange(t *testing.T) {
	t.Parallel()
	e := bus.Event{ID: "1", Topic: "a", Data: []byte("x")}
	same := e
	same.Source, same.Key, same.Type, same.ContentType = bus.DefaultSource, "k", "t", "c"
	same.Headers = bus.Headers{"Traceparent": {"00-1"}}
	if bus.MessageID(&e) != bus.MessageID(&same) {
		t.Errorf("%q and %q differ", bus.MessageID(&e), bus.MessageID(&same))
	}
	letter := bus.Event{ID: "1", Topic: "dead"}.WithControl(bus.Control{Letter: "l"})
	again := bus.Event{ID: "2", Topic: "dead", Data: []byte("another stack")}.WithControl(bus.Control{Letter: "l"})
	if bus.MessageID(&letter) != bus.MessageID(&again) {
		t.Errorf("%q and %q differ", bus.MessageID(&letter), bus.MessageID(&again))
	}
}

// parts is what a message id is made of.
type parts struct{ topic, source, id, data, redriven, letter string }

func (p parts) event() bus.Event {
	e := bus.Event{Topic: p.topic, Source: p.source, ID: p.id, Data: []byte(p.data)}
	return e.WithControl(bus.Control{Redriven: p.redriven, Letter: p.letter})
}

// tells is p without what does not tell events apart.
func (p parts) tells() parts {
	if p.letter != "" {
		return parts{topic: bus.LogicalTopic(p.topic), letter: p.letter}
	}
	p.topic = bus.LogicalTopic(p.topic)
	p.source = named(p.source)
	return p
}

func FuzzMessageIDTellsEventsApart(f *testing.F) {
	long := strings.Repeat("x", 600)
	for _, s := range [][2]parts{
		{{topic: "a", id: "b:c"}, {topic: "a:b", id: "c"}},
		{{topic: "a", source: "b", id: "c"}, {topic: "a", source: "b:c"}},
		{{id: "%3A"}, {id: ":"}},
		{{id: long}, {id: long + "x"}},
		{{id: "1", data: "a"}, {id: "1", data: "b"}},
		{{id: "1", redriven: "l"}, {id: "1", letter: "l"}},
		{{id: "1", source: bus.DefaultSource}, {id: "1"}},
		{{id: "ü\xff\x00"}, {id: "ü\xfe\x00"}},
	} {
		a, b := s[0], s[1]
		f.Add(a.topic, a.source, a.id, a.data, a.redriven, a.letter, b.topic, b.source, b.id, b.data, b.redriven, b.letter)
	}
	f.Fuzz(func(t *testing.T, t1, s1, i1, d1, r1, l1, t2, s2, i2, d2, r2, l2 string) {
		a, b := parts{t1, s1, i1, d1, r1, l1}, parts{t2, s2, i2, d2, r2, l2}
		e1, e2 := a.event(), b.event()
		m1, m2 := bus.MessageID(&e1), bus.MessageID(&e2)
		if (m1 == m2) != (a.tells() == b.tells()) {
			t.Errorf("%+v and %+v have the message ids %q and %q", a, b, m1, m2)
		}
		if len(m1) > 512 || strings.ContainsFunc(m1, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("message id %q is over 512 bytes, or not visible ASCII", m1)
		}
	})
}
