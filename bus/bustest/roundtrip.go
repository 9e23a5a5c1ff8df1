package bustest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func roundTrip() []promise {
	return []promise{
		{name: "every attribute of an event arrives as it was published", keeps: keepsAttributes},
		{name: "attributes may hold any text", keeps: keepsHostile},
		{name: "data arrives byte by byte", keeps: keepsData},
		{name: "headers keep repeated values and the case of their letters", keeps: keepsHeaders},
		{name: "what cannot travel is refused, never changed", keeps: changesNothing},
	}
}

// travels publishes events and compares what arrives.
func (f *fixture) travels(t *testing.T, events ...bus.Event) {
	t.Helper()
	f.publish(t, events...)
	ds := f.fetch(t, f.subscribe(t, "g", nil), len(events))
	for i, d := range ds {
		if d.Malformed != nil {
			t.Errorf("event %.64q is malformed: %v", events[i].ID, d.Malformed)
		}
		if d.Arrivals != 1 {
			t.Errorf("event %.64q arrives the first time, and counts %d arrivals", events[i].ID, d.Arrivals)
		}
		if err := differ(d.Event, events[i]); err != nil {
			t.Errorf("event %.64q: %v", events[i].ID, err)
		}
	}
	ack(t, ds...)
}

// differ tells how got is not want. An empty Type means the topic, an empty Source the default one:
// either may arrive.
func differ(got, want bus.Event) error {
	if want.Type == "" && got.Type == got.Topic {
		got.Type = ""
	}
	for _, a := range []struct{ name, got, want string }{
		{"ID", got.ID, want.ID},
		{"Topic", got.Topic, want.Topic},
		{"Key", got.Key, want.Key},
		{"Type", got.Type, want.Type},
		{"Identity", got.Identity(), want.Identity()},
		{"ContentType", got.ContentType, want.ContentType},
		{"Data", string(got.Data), string(want.Data)},
	} {
		if a.got != a.want {
			return fmt.Errorf("%s is %.200q; want %.200q", a.name, a.got, a.want)
		}
	}
	if want.Source != "" && got.Source != want.Source {
		return fmt.Errorf("Source is %q; want %q", got.Source, want.Source)
	}
	if !got.Time.Equal(want.Time) {
		return fmt.Errorf("Time is %v; want %v", got.Time, want.Time)
	}
	return differHeaders(got.Headers, want.Headers)
}

// differHeaders ignores names without values: they are no headers.
func differHeaders(got, want bus.Headers) error {
	for name, values := range want {
		if !slices.Equal(got[name], values) {
			return fmt.Errorf("header %q is %.200q; want %.200q", name, got[name], values)
		}
	}
	for name, values := range got {
		if _, ok := want[name]; !ok && len(values) > 0 {
			return fmt.Errorf("header %q = %q was not published", name, values)
		}
	}
	return nil
}

func keepsAttributes(t *testing.T, f *fixture) {
	f.travels(t,
		bus.Event{ID: "bare", Topic: "orders.new"},
		bus.Event{
			ID: "full", Topic: "orders.eu.changed", Key: "customer-7", Type: "order.changed.v2", Source: "/shops/12",
			Time:        time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.FixedZone("", 5400)),
			ContentType: "application/json; charset=utf-8", Data: []byte(`{"cents":5}`),
			Headers: bus.Headers{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
		},
		bus.Event{ID: "one ns", Topic: "orders.new", Time: time.Date(2031, 1, 1, 0, 0, 0, 1, time.UTC)},
		bus.Event{ID: "long ago", Topic: "orders.new", Time: time.Date(1969, 7, 20, 20, 17, 40, 5, time.UTC)},
		bus.Event{ID: "default source", Topic: "orders.new", Source: bus.DefaultSource},
		bus.Event{ID: "{braces}", Topic: "orders.new", Source: "{}"},
	)
}

// hostile are texts that an encoding may stumble over.
var hostile = []string{
	"with space", " leading", "trailing ", `"quoted"`, "100%", "%41", "%zz", "a+b", "a,b;c=d", "a:b", "back\\slash",
	"ünïcödé ✓", "日本語", "🎉", "\u2028", "line\nbreak", "carriage\r\nreturn: x", "tab\t", "ctl\x01\x1f\x7f",
	"$ * > .", "'", "<&>", "=?utf-8?q?=41?=", strings.Repeat("long ", 800),
}

func keepsHostile(t *testing.T, f *fixture) {
	var es []bus.Event
	for i, text := range hostile {
		es = append(es,
			bus.Event{ID: text, Topic: "orders.new"},
			bus.Event{ID: fmt.Sprint("rest ", i), Topic: "orders.new", Key: text, Type: text, Source: text, ContentType: text},
		)
	}
	f.travels(t, es...)
}

func keepsData(t *testing.T, f *fixture) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	var es []bus.Event
	for i, data := range [][]byte{
		nil,
		{},
		{0},
		all, []byte("\r\n"), []byte("NATS/1.0\r\n\r\n"), []byte("{}"), []byte("null"),
		[]byte(`{"specversion":"1.0","id":"other","source":"s","type":"t"}`), bytes.Repeat(all, 256),
	} {
		es = append(es, bus.Event{ID: fmt.Sprint(i), Topic: "orders.new", Data: data})
	}
	f.travels(t, es...)
}

func keepsHeaders(t *testing.T, f *fixture) {
	headers := bus.Headers{
		"lower": {"1"}, "UPPER": {"2"}, "MiXeD-case": {"3"}, "Repeated": {"a", "b", "a"}, "empty": {""},
		"tracestate": {"vendor=1,other=2"}, "baggage": {"k=v"},
		"utf": {"ünïcödé ✓"}, "quotes": {`"quoted"`}, "percent": {"100% %41"}, "colon": {"a: b"}, "long": {strings.Repeat("x", 4000)},
	}
	plain := bus.Event{ID: "1", Topic: "orders.new", Headers: headers}
	f.travels(t, plain, plain.WithControl(bus.Control{Letter: "g/s/1", Redriven: "g/s/2", Group: "g ü"}))
}

// changesNothing holds for what not every bus can carry.
func changesNothing(t *testing.T, f *fixture) {
	var es []bus.Event
	add := func(e bus.Event) {
		e.Topic = "orders.new"
		if e.ID == "" {
			e.ID = fmt.Sprint(len(es))
		}
		es = append(es, e)
	}
	for _, text := range []string{"\r\n", "a\r\nb: c", "a\nb", " lead", "trail ", "\tt", "nul\x00", "bad\xff", "\x01"} {
		add(bus.Event{Headers: bus.Headers{"value": {text}}})
		add(bus.Event{Headers: bus.Headers{"name" + text: {"v"}}})
	}
	for _, name := range []string{"", ":", "a:b", "a b", "ümlaut", "ce-id"} {
		add(bus.Event{Headers: bus.Headers{name: {"v"}}})
	}
	add(bus.Event{Headers: bus.Headers{"none": {}}})
	add(bus.Event{Headers: bus.Headers{"two": {"1"}, "Two": {"2"}}})
	for _, text := range []string{"bad\xff", "nul\x00", "\xc3"} {
		add(bus.Event{ID: text})
		add(bus.Event{Key: text, Type: text, Source: text, ContentType: text})
	}
	src := f.subscribe(t, "g", nil)
	for _, e := range es {
		receipts, _ := f.bus.Publish(t.Context(), e)
		if err := receipts[0].Err; errors.Is(err, bus.ErrInvalidEvent) {
			continue
		} else if err != nil {
			t.Errorf("event %q with headers %q: %v; want it stored, or ErrInvalidEvent", e.ID, e.Headers, err)
			continue
		}
		d := f.fetch(t, src, 1)[0]
		if err := differ(d.Event, e); err != nil || d.Malformed != nil {
			t.Errorf("event %q with headers %q was changed: %v, %v", e.ID, e.Headers, err, d.Malformed)
		}
		ack(t, d)
	}
}
