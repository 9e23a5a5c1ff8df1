package consumer

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func letter() *Letter {
	stored := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	return &Letter{
		ID: "billing/orders@1/7/9", Group: "billing", Attempts: 3, Crashes: 2,
		Event: bus.Event{
			ID: "order: 1 %\r\n", Topic: "order.placed", Key: "customer", Type: "placed", Source: "/shop é", ContentType: "application/json",
			Data: []byte(`{"cents":5}`), Headers: bus.Headers{"traceparent": {"00-1"}, "Many": {"1", "2"}},
		},
		At:     bus.Position{Stream: "orders@1", Sequence: 7, Stored: stored},
		Reason: "failed\nagain: 100%", Error: "no \x00 such \xff thing", Stack: "goroutine 1:\n\tmain.go",
		Claimed: stored.Add(time.Second), Died: stored.Add(time.Minute),
	}
}

func TestLetterCarriesTheWholeEvent(t *testing.T) {
	t.Parallel()
	want := letter()
	e := want.event("dead.billing", 0)
	if e.Topic != "dead.billing" || e.ID != want.ID || string(e.Data) != `{"cents":5}` || e.Headers.Get("traceparent") != "00-1" {
		t.Errorf("published as %+v", e)
	}
	for name, values := range e.Headers {
		if strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
			t.Errorf("header %s cannot travel: %q", name, values)
		}
	}
	got, err := ParseLetter(e)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read back as %+v, %v, want %+v", got, err, want)
	}
}

func TestLetterIsCutToFitButItsDataNever(t *testing.T) {
	t.Parallel()
	l := letter()
	l.Event.Data = []byte(strings.Repeat("x", 4000))
	l.Stack, l.Error = strings.Repeat("stack\n", 1000), strings.Repeat("error ", 1000)
	const most = 8000
	e := l.event("dead.billing", most)
	got, err := ParseLetter(e)
	if err != nil {
		t.Fatal(err)
	}
	if excess(&e, most) > 0 || len(got.Event.Data) != 4000 || got.Stack != "" || got.Error == "" || got.Reason != "failed\nagain: 100%" || got.DataOmitted {
		t.Errorf("cut to %d bytes of data, %d of stack, %d of error, reason %q", len(got.Event.Data), len(got.Stack), len(got.Error), got.Reason)
	}
}

func TestLetterWhoseDataLeavesNoRoomTellsWhereItIs(t *testing.T) {
	t.Parallel()
	l := letter()
	l.Event.Data = []byte(strings.Repeat("x", 8000))
	got, err := ParseLetter(l.event("dead.billing", 8000))
	if err != nil || !got.DataOmitted || len(got.Event.Data) != 0 || got.At.Sequence != 7 {
		t.Errorf("read back as %+v, %v", got, err)
	}
}

func TestLetterOfARedrivenEventIsForEverybody(t *testing.T) {
	t.Parallel()
	l := letter()
	l.Event.Headers = bus.Headers{bus.HeaderGroup: {"billing"}, bus.HeaderRedriven: {"letter"}}
	if e := l.event("dead.billing", 0); e.Headers.Get(bus.HeaderGroup) != "" || e.Headers.Get(bus.HeaderRedriven) != "" {
		t.Errorf("it says it is for one group: %v", e.Headers)
	}
}

func TestLetterFitsWhateverHeadersItsEventHad(t *testing.T) {
	t.Parallel()
	l := letter()
	l.Event.Headers = bus.Headers{"huge": {strings.Repeat("x", 8000)}}
	e := l.event("dead.billing", 8000)
	if got, err := ParseLetter(e); err != nil || excess(&e, 8000) > 0 || got.Event.ID != l.Event.ID || !got.DataOmitted {
		t.Errorf("%d bytes too many: %v", excess(&e, 8000), err)
	}
}

func TestParseLetterRefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	e := letter().event("dead.billing", 0)
	for name := range e.Headers {
		if !strings.HasPrefix(name, "Onceish-") {
			continue
		}
		broken := e
		broken.Headers = e.Headers.Clone()
		delete(broken.Headers, name)
		if _, err := ParseLetter(broken); !errors.Is(err, ErrNotLetter) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// FuzzLetter: whatever an event and a reason hold, a letter is read back as it was written.
func FuzzLetter(f *testing.F) {
	f.Add("id", "source", "reason", "error", 0)
	f.Add("%", "\r\n", "\x00", "\xff", 1500)
	f.Fuzz(func(t *testing.T, id, source, reason, text string, most int) {
		l := letter()
		l.Event.ID, l.Event.Source, l.Reason, l.Error = id, source, reason, text
		e := l.event("dead.billing", max(0, most))
		got, err := ParseLetter(e)
		if err != nil {
			t.Fatal(err)
		}
		if got.Event.ID != id || got.Event.Source != source || !strings.HasPrefix(reason, got.Reason) && got.Reason != l.Reason {
			t.Errorf("read back as %+v", got)
		}
	})
}
