package consumer

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

func letter() *Letter {
	stored := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	return &Letter{
		ID: "billing/orders@1/7/9", Group: "billing", Attempts: 3, Crashes: 2,
		Event: bus.Event{
			ID: "order: 1 %\r\n", Topic: "order.placed", Key: "customer", Type: "placed", Source: "/shop é", ContentType: "application/json",
			Time: stored.Add(-time.Hour), Data: []byte(`{"cents":5}`), Headers: bus.Headers{"traceparent": {"00-1"}, "Many": {"1", "2"}},
		},
		At:     bus.Position{Stream: "orders@1", Sequence: 7, Stored: stored},
		Reason: "failed\nagain: 100%", Error: "no \x00 such \xff thing", Stack: "goroutine 1:\n\tmain.go",
		Claimed: stored.Add(time.Second), Died: stored.Add(time.Minute),
		History: []dedupe.Attempt{
			{Number: 2, Ended: stored.Truncate(time.Millisecond), Took: time.Second + 1, Process: "host:7", Token: 1 << 60, Sequence: 7, Error: "no & %\x00 = é+\r\n"},
			{Number: 3},
		},
	}
}

// nats is what a server takes unless it is told otherwise.
var nats = letterRoom{all: 1 << 20, headers: 1<<16 - 1}

// whole publishes a letter that needs no parts.
func whole(t *testing.T, l *Letter, room letterRoom) bus.Event {
	t.Helper()
	parts, e := l.toEvents("dead.billing", room)
	if len(parts) != 0 {
		t.Fatalf("the letter has %d parts", len(parts))
	}
	return e
}

func TestLetterCarriesTheWholeEvent(t *testing.T) {
	t.Parallel()
	want := letter()
	e := whole(t, want, letterRoom{})
	if e.Topic != "dead.billing" || e.ID != want.ID || string(e.Data) != `{"cents":5}` || e.Headers.Get("traceparent") != "00-1" {
		t.Errorf("published as %+v", e)
	}
	if c, err := e.Control(); err != nil || c != (bus.Control{Letter: want.ID}) {
		t.Errorf("published with control %+v, %v", c, err)
	}
	for name, values := range e.Headers {
		if strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
			t.Errorf("header %s cannot travel: %q", name, values)
		}
	}
	for what, e := range map[string]bus.Event{"from the bus": e, "by a handler": e.WithoutControl()} {
		if got, err := ParseLetter(e); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %s as %+v, %v, want %+v", what, got, err, want)
		}
	}
}

// A letter's own type is not the event's, which may have had none.
func TestLetterKeepsThatItsEventHadNoType(t *testing.T) {
	t.Parallel()
	l := letter()
	l.Event.Type = ""
	e := whole(t, l, nats)
	e.Type = e.Topic // as a bus spells it out
	if got, err := ParseLetter(e); err != nil || got.Event.Type != "" {
		t.Errorf("read back with type %q, %v", got.Event.Type, err)
	}
}

// A letter that is dead-lettered itself is the letter that it was when it is taken out again.
func TestLetterOfALetterKeepsIt(t *testing.T) {
	t.Parallel()
	inner := whole(t, letter(), nats).WithoutControl()
	outer := letter()
	outer.ID, outer.Group, outer.Event = "on-call/dead@1/2/3", "on-call", inner
	for range 3 { // and so on
		got, err := ParseLetter(whole(t, outer, nats))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Event, outer.Event) {
			t.Fatalf("read back with %+v, want %+v", got.Event, outer.Event)
		}
		outer.Event = whole(t, outer, nats).WithoutControl()
	}
}

func TestLetterCutsStackBeforeError(t *testing.T) {
	t.Parallel()
	l := letter()
	l.Event.Data = []byte(strings.Repeat("x", 4000))
	l.Stack, l.Error = strings.Repeat("stack\n", 10_000), strings.Repeat("ärgerlich ", 10_000)
	for most, want := range map[int]struct{ stack, err int }{1 << 20: {8 << 10, 2 << 10}, 18 << 10: {1 << 10, 1 << 10}, 12 << 10: {0, 300}} {
		got, err := ParseLetter(whole(t, l, letterRoom{all: most, headers: 1<<16 - 1}))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Event.Data) != 4000 || len(got.Stack) < want.stack || len(got.Error) < want.err || got.Reason != l.Reason ||
			!strings.HasPrefix(got.Error, strings.Repeat("ärgerlich ", 2)) || !strings.HasSuffix(got.Error, "… (cut, it has 110000 bytes)") {
			t.Errorf("at most %d bytes: %d of data, %d of stack, %d of error %.200q, reason %q", most, len(got.Event.Data), len(got.Stack), len(got.Error), got.Error, got.Reason)
		}
	}
}

// TestLetterLeavesOutTheEarliestAttempts: before the reason or the error is cut.
func TestLetterLeavesOutTheEarliestAttempts(t *testing.T) {
	t.Parallel()
	l := letter()
	l.Error, l.History = strings.Repeat("e", 2000), nil
	for n := range dedupe.MaxHistory {
		l.History = dedupe.AppendAttempt(l.History, &dedupe.Attempt{Number: n, Error: strings.Repeat("e", 1000)})
	}
	for most, want := range map[int]int{20 << 10: 10, 10 << 10: 5, 6 << 10: 1, 4 << 10: 0} {
		got, err := ParseLetter(whole(t, l, letterRoom{all: most, headers: most}))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(got.History); n != want || n > 0 && got.History[n-1] != l.History[dedupe.MaxHistory-1] || got.Error != l.Error || got.Reason != l.Reason {
			t.Errorf("at most %d bytes: %d attempts, %d bytes of the error, reason %q; want the last %d, and the others whole", most, n, len(got.Error), got.Reason, want)
		}
	}
}

// TestLetterWithoutHistory: letters of before there was one, and those whose history is broken, are
// letters.
func TestLetterWithoutHistory(t *testing.T) {
	t.Parallel()
	for _, values := range [][]string{nil, {""}, {"number=1"}, {"%zz"}, {"number=x&ended=y"}} {
		e := whole(t, letter(), nats).WithoutControl()
		delete(e.Headers, headerHistory)
		if values != nil {
			e.Headers[headerHistory] = values
		}
		if got, err := ParseLetter(e); err != nil || got.History != nil || got.Attempts != 3 {
			t.Errorf("with %q: %+v, %v, want a letter without history", values, got, err)
		}
	}
}

func TestLetterTooLargeForOneEventHasParts(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(l *Letter){
		"data":    func(l *Letter) { l.Event.Data = []byte(strings.Repeat("x\n", nats.all/2)) },
		"more":    func(l *Letter) { l.Event.Data = []byte(strings.Repeat("x\n", 2*nats.all)) },
		"headers": func(l *Letter) { l.Event.Headers.Set("Huge", strings.Repeat("\xff ", nats.headers/2)) },
		"id":      func(l *Letter) { l.Event.ID = strings.Repeat("%", nats.headers-100) },
	} {
		l := letter()
		change(l)
		l.Error = strings.Repeat("e", 70_000)
		parts, e := l.toEvents("dead.billing", nats)
		got, err := ParseLetter(e.WithoutControl())
		if err != nil || got.Parts == 0 || got.Parts != len(parts) || got.Reason != l.Reason || len(got.Error) < 1000 || got.At != l.At {
			t.Fatalf("%s: %d parts, read as %+v, %v", name, len(parts), got, err)
		}
		for _, p := range append(parts, e) {
			if _, err := ParseLetter(p); errors.Is(err, ErrLetterPart) != (p.ID != e.ID) || errors.Is(err, ErrNotLetter) {
				t.Errorf("%s: event %q is read as %v", name, p.ID, err)
			}
			if !nats.hasRoomFor(&p) {
				t.Errorf("%s: event %q does not fit", name, p.ID)
			}
		}
		short := *got
		if err := short.Join(parts[1:]...); !errors.Is(err, ErrLetterPart) || !strings.Contains(err.Error(), parts[0].ID) {
			t.Errorf("%s: joined without part 1: %v", name, err)
		}
		other := slices.Clone(parts)
		other[0].Data = []byte("changed")
		if err := short.Join(other...); !errors.Is(err, ErrLetterPart) {
			t.Errorf("%s: joined from what was changed: %v", name, err)
		}
		slices.Reverse(parts)
		if err := got.Join(append(parts, bus.Event{ID: "another"})...); err != nil || !reflect.DeepEqual(got.Event, l.Event) {
			t.Errorf("%s: joined as %.300q, %v", name, got.Event, err)
		}
		if err := got.Join(); err != nil {
			t.Errorf("%s: joined again: %v", name, err)
		}
	}
}

func TestLetterOfARedrivenEventIsForEverybody(t *testing.T) {
	t.Parallel()
	l := letter()
	l.Event = l.Event.WithControl(bus.Control{Group: "billing", Redriven: "letter"})
	e := whole(t, l, nats)
	if c, err := e.Control(); err != nil || c.Group != "" || c.Redriven != "" {
		t.Errorf("it says it is for one group: %+v, %v", c, err)
	}
}

func TestParseLetterRefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	e := whole(t, letter(), nats).WithoutControl()
	for name := range e.Headers {
		if !strings.HasPrefix(name, "Onceish-") || name == headerHistory {
			continue
		}
		broken := e
		broken.Headers = e.Headers.Clone()
		delete(broken.Headers, name)
		if _, err := ParseLetter(broken); !errors.Is(err, ErrNotLetter) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	e.ID = "another event, to which the headers were copied"
	if _, err := ParseLetter(e); !errors.Is(err, ErrNotLetter) {
		t.Errorf("with another id: %v", err)
	}
	l := letter()
	l.Event.Data = make([]byte, nats.all)
	parts, _ := l.toEvents("dead.billing", nats)
	parts[0].ID = "another event, to which a part's header was copied"
	if _, err := ParseLetter(parts[0]); !errors.Is(err, ErrNotLetter) {
		t.Errorf("with another id: %v", err)
	}
}

func TestCutEndsBetweenCharacters(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, room := rapid.String().Draw(t, "s"), rapid.IntRange(0, 200).Draw(t, "room")
		got := cutText(s, room)
		switch {
		case len(escaped(got)) > room:
			t.Errorf("%q takes %d bytes of %d", got, len(escaped(got)), room)
		case !utf8.ValidString(got):
			t.Errorf("%q is no UTF-8", got)
		case len(escaped(s)) <= room && got != s:
			t.Errorf("cut to %q", got)
		case len(escaped(s)) > room && room >= 100 && !strings.HasPrefix(s, strings.Split(got, "… (cut")[0]):
			t.Errorf("%q is no beginning of %q", got, s)
		case len(escaped(s)) > room && room >= 100 && len(strings.Split(got, "… (cut")[0]) < (room-80)/9:
			t.Errorf("cut to %q", got)
		}
	})
}

func escaped(s string) string {
	return (&Letter{Reason: s}).toEvent("t").Headers.Get(letterPrefix + "Reason")
}

// What a letter says itself of an event in parts is as long as it may be: there is room where
// SubscribeExactlyOnce finds enough.
func TestLetterFitsTheLeastRoom(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"g", strings.Repeat("ü", 200)} {
		l := letter()
		l.Group, l.At.Stream = group, strings.Repeat("\xff", 300)
		l.ID = protocol.LetterID(group, l.At, 1)
		l.Reason, l.Error = "r"+strings.Repeat("\xff", 5_000), "e"+strings.Repeat("\xff", 5_000)
		l.History = slices.Repeat(l.History, dedupe.MaxHistory/2)
		most := strings.Repeat("\xff", maxAttribute/3)
		l.Event = bus.Event{
			ID: most, Topic: most, Source: most, Key: strings.Repeat("k", maxAttribute), Data: make([]byte, 100_000),
			Headers: bus.Headers{"X": {strings.Repeat("x", 10_000)}},
		}
		least := minLetterRoom(group, "dead.billing")
		for _, room := range []letterRoom{{all: least}, {headers: least}, {all: least, headers: least}} {
			parts, e := l.toEvents("dead.billing", room)
			for _, p := range append(parts, e) {
				if !room.hasRoomFor(&p) {
					t.Errorf("event %.64q has %d bytes of headers and %d of data, of %+v", p.ID, headerBytes(&p), len(p.Data), room)
				}
			}
			if got, err := ParseLetter(e); err != nil || got.Event.ID != most || len(parts) == 0 {
				t.Errorf("%d parts, read as %v, %v", len(parts), got, err)
			}
		}
	}
}

// A letter fits whatever it has to carry, has its reason and its error, and is read back with all
// of its event.
func TestLettersFit(t *testing.T) {
	t.Parallel()
	text := func(most int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			unit := rapid.SampledFrom([]string{"x", "%", "é", "\xff", " ", "\r\n", "💥"}).Draw(t, "unit")
			return strings.Repeat(unit, rapid.SampledFrom([]int{0, 1, 100, 700, most}).Draw(t, "times"))
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		l := letter()
		l.Group, l.At.Stream = text(400).Draw(t, "group")+"g", text(300).Draw(t, "stream")
		l.At.Stream = l.At.Stream[:min(300, len(l.At.Stream))]
		l.ID = protocol.LetterID(l.Group, l.At, 1)
		l.Reason, l.Error, l.Stack = "r"+text(5_000).Draw(t, "reason"), "e"+text(70_000).Draw(t, "error"), text(70_000).Draw(t, "stack")
		l.History = nil
		for n := range rapid.IntRange(0, dedupe.MaxHistory).Draw(t, "attempts") {
			l.History = dedupe.AppendAttempt(l.History, &dedupe.Attempt{Number: n, Error: text(1_000).Draw(t, "attempt"), Process: text(300).Draw(t, "process")})
		}
		e := &l.Event
		e.ID, e.Topic, e.Key, e.Type = text(20_000).Draw(t, "id"), text(2_000).Draw(t, "topic"), text(9_000).Draw(t, "key"), text(9_000).Draw(t, "type")
		e.Source, e.ContentType = text(9_000).Draw(t, "source"), text(9_000).Draw(t, "contentType")
		e.Headers = bus.Headers{"One": {text(60_000).Draw(t, "header")}, "Many": slices.Repeat([]string{"v"}, rapid.IntRange(1, 5_000).Draw(t, "many"))}
		e.Data = []byte(text(80_000).Draw(t, "data"))
		least := minLetterRoom(l.Group, "dead.billing")
		room := letterRoom{
			all:     rapid.SampledFrom([]int{0, least, least + 1, 64 << 10, 1 << 20}).Draw(t, "all"),
			headers: rapid.SampledFrom([]int{0, least, 1<<16 - 1}).Draw(t, "headers"),
		}
		if room.all != 0 && room.all < least || room.headers != 0 && room.headers < least {
			t.Skip("refused at start")
		}
		checkLetter(t, l, room)
	})
}

func checkLetter(t *rapid.T, l *Letter, room letterRoom) {
	t.Helper()
	parts, e := l.toEvents("dead.billing", room)
	for _, p := range append(parts, e) {
		if !room.hasRoomFor(&p) {
			t.Fatalf("event %.64q has %d bytes of headers and %d of data, of %+v", p.ID, headerBytes(&p), len(p.Data), room)
		}
	}
	got, err := ParseLetter(e.WithoutControl())
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range got.History {
		if want := l.History[len(l.History)-len(got.History)+i]; a != want {
			t.Errorf("attempt %+v, want %+v", a, want)
		}
	}
	if cut := got.Reason != l.Reason && len(escaped(l.Reason)) <= textLimitSteps[0].reason; cut && len(got.History) > 0 {
		t.Errorf("the reason was cut, and %d attempts were kept", len(got.History))
	}
	for what, texts := range map[string][2]string{"reason": {got.Reason, l.Reason}, "error": {got.Error, l.Error}} {
		kept, note, _ := strings.Cut(texts[0], "… (cut")
		if kept == "" || !strings.HasPrefix(texts[1], kept) || note == "" && kept != texts[1] {
			t.Errorf("%s %.100q was kept of %.100q", what, texts[0], texts[1])
		}
		if utf8.ValidString(texts[1]) && !utf8.ValidString(texts[0]) {
			t.Errorf("%s %q is no UTF-8", what, texts[0])
		}
	}
	if got.ID != l.ID || got.At != l.At || got.Group != l.Group || got.Attempts != l.Attempts || got.Crashes != l.Crashes || !got.Died.Equal(l.Died) {
		t.Errorf("read back as %+v", got)
	}
	if err := got.Join(parts...); err != nil {
		t.Fatal(err)
	}
	if want := l.Event; !reflect.DeepEqual(got.Event, want) && (len(got.Event.Data) != 0 || len(want.Data) != 0) {
		t.Errorf("joined as %.500q, want %.500q", got.Event, want)
	}
}

// FuzzLetter: whatever an event and a reason hold, a letter is read back as it was written.
func FuzzLetter(f *testing.F) {
	f.Add("id", "source", "reason", "error", "header", []byte("data"), 0)
	f.Add("%", "\r\n", "\x00", "\xff", "", []byte(nil), 1500)
	f.Fuzz(func(t *testing.T, id, source, reason, text, header string, data []byte, more int) {
		l := letter()
		l.Event.ID, l.Event.Source, l.Reason, l.Error, l.Event.Data = id, source, reason, text, data
		l.Event.Headers = bus.Headers{letterPrefix + "Id": {header}, "X": {header, header}}
		parts, e := l.toEvents("dead.billing", letterRoom{all: minLetterRoom(l.Group, "dead.billing") + max(0, more)})
		got, err := ParseLetter(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Join(parts...); err != nil {
			t.Fatal(err)
		}
		if got.Event.ID != id || got.Event.Source != source || !bytes.Equal(got.Event.Data, data) || !reflect.DeepEqual(got.Event.Headers, l.Event.Headers) ||
			reason != "" && got.Reason == "" {
			t.Errorf("read back as %+v", got)
		}
	})
}
