package replay_test

import (
	"bytes"
	"cmp"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/replay"
)

// stored draws an event as a bus may have it.
var stored = rapid.Custom(func(t *rapid.T) bus.Stored {
	text := rapid.String()
	// Within what RFC 3339 can say.
	when := rapid.Map(rapid.Int64Range(-1<<61, 1<<62), func(ns int64) time.Time { return time.Unix(0, ns).UTC() })
	e := bus.Event{
		ID: rapid.StringN(1, -1, -1).Draw(t, "id"), Topic: rapid.SampledFrom([]string{"orders.new", "a", "ü.✓"}).Draw(t, "topic"),
		Key: text.Draw(t, "key"), Type: text.Draw(t, "type"), Source: text.Draw(t, "source"), Time: when.Draw(t, "time"),
		ContentType: rapid.SampledFrom([]string{"", "application/json", "x/y+json; a=b", "text/plain", "é"}).Draw(t, "content type"),
	}
	e.Data = rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.SampledFrom([][]byte{
		nil, []byte("null"), []byte(`{"a":1.0,"b":"<&>"}`), []byte(`"text"`), []byte(" 1"), []byte("[1,\n2]"), []byte(`"\ud800"`), []byte("\u2028"), {0xff},
	})).Draw(t, "data")
	if names := rapid.SliceOfN(rapid.StringMatching(`X-[a-zA-Z-]{1,8}`), 0, 4).Draw(t, "header names"); len(names) > 0 {
		e.Headers = bus.Headers{}
		for _, name := range names {
			e.Headers[name] = rapid.SliceOfN(text, 1, 3).Draw(t, "header values")
		}
	}
	return bus.Stored{Event: e, At: bus.Position{Sequence: rapid.Uint64().Draw(t, "sequence"), Stored: when.Draw(t, "stored")}}
})

// normalize spells out what an event has by default.
func normalize(s bus.Stored) bus.Stored {
	s.Event.Source = cmp.Or(s.Event.Source, bus.DefaultSource)
	s.Event.Type = cmp.Or(s.Event.Type, s.Event.Topic)
	if len(s.Event.Data) == 0 {
		s.Event.Data = nil
	}
	return s
}

func TestALineIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := stored.Draw(t, "event")
		line, err := replay.AppendLine([]byte("before"), want)
		if err != nil {
			t.Fatal(err)
		}
		line, _ = bytes.CutPrefix(line, []byte("before"))
		if bytes.IndexByte(line, '\n') != len(line)-1 || bytes.IndexByte(line, '\r') >= 0 {
			t.Fatalf("%q is not one line", line)
		}
		got, err := replay.ParseLine(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if want := normalize(want); got.At != want.At || !reflect.DeepEqual(got.Event, want.Event) {
			t.Fatalf("%s\n%+v\n%+v", line, got, want)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	for _, s := range []string{
		`{"specversion":"1.0","id":"1","source":"s","type":"t","topic":"a","data":{"x":1}}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","topic":"a","datacontenttype":"text/plain","data":"x"}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","topic":"a","data_base64":"AA==","headers":{"A":["1","2"]}}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","topic":"a","streamsequence":"7","streamtime":"2030-01-01T00:00:00Z"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := replay.ParseLine(line)
		if err != nil {
			return
		}
		if err := s.Event.Validate(); err != nil {
			t.Fatalf("%q is read as an event that is none: %v", line, err)
		}
		written, err := replay.AppendLine(nil, s)
		if err != nil {
			return // It has text that is not UTF-8, or a time that RFC 3339 cannot say.
		}
		again, err := replay.ParseLine(written)
		if err != nil || again.At != s.At || !reflect.DeepEqual(normalize(again).Event, normalize(s).Event) {
			t.Errorf("%q\n%+v\n%+v, %v", line, s, again, err)
		}
	})
}

func TestParseLineRefusesWhatWouldBeLost(t *testing.T) {
	t.Parallel()
	const whole = `{"specversion":"1.0","id":"1","source":"s","type":"t","topic":"a"}`
	if _, err := replay.ParseLine([]byte(whole)); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"":                                    "begin with '{'",
		whole[:len(whole)-1]:                  "unexpected end",
		whole + whole:                         "after top-level value",
		"[" + whole + "]":                     "begin with '{'",
		insert(whole, `"other":"x"`):          `"other"`,
		insert(whole, `"time":"soon"`):        "soon",
		insert(whole, `"streamtime":"1"`):     "streamtime",
		insert(whole, `"streamsequence":"x"`): "streamsequence",
		insert(whole, `"data":1,"data_base64":"AA=="`):            "both",
		insert(whole, `"headers":{"Nats-TTL":["1s"]}`):            "Nats-TTL",
		strings.Replace(whole, "1.0", "0.3", 1):                   "specversion",
		strings.Replace(whole, `"topic":"a"`, `"topic":"a.*"`, 1): "wildcard",
		strings.Replace(whole, `"id":"1"`, `"id":""`, 1):          "ID",
		strings.Replace(whole, `"id":"1"`, `"id":1`, 1):           `"id": 1 is no string`,
	} {
		if _, err := replay.ParseLine([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", line, err, want)
		}
	}
	for _, e := range []bus.Event{{ID: "\xff"}, {ID: "1", Headers: bus.Headers{"A": {"\xff"}}}} {
		if _, err := replay.AppendLine(nil, bus.Stored{Event: e}); !errors.Is(err, bus.ErrInvalidEvent) {
			t.Errorf("%+v: %v; want ErrInvalidEvent", e, err)
		}
	}
}

// insert adds members to a line.
func insert(line, members string) string { return line[:len(line)-1] + "," + members + "}" }
