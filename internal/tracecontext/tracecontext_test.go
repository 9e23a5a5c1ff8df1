package tracecontext_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/tracecontext"
)

const (
	parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	other  = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func TestNamesAreReadInAnyCase(t *testing.T) {
	t.Parallel()
	for _, h := range []bus.Headers{
		{"traceparent": {parent}, "tracestate": {"a=1"}},
		{"Traceparent": {parent}, "Tracestate": {"a=1"}},
		{"TRACEPARENT": {parent}, "tRaCeStAtE": {"a=1"}, "Other": {"x"}},
	} {
		if p, s := tracecontext.From(h); p != parent || s != "a=1" {
			t.Errorf("%v: %q and %q", h, p, s)
		}
	}
}

func TestHostileContextIsNone(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"none":           {},
		"empty":          {""},
		"two":            {parent, other},
		"the same twice": {parent, parent},
		"text":           {"drop table"},
		"huge":           {strings.Repeat("0", 1<<20)},
		"upper case":     {strings.ToUpper(parent)},
		"no trace":       {"00-00000000000000000000000000000000-b7ad6b7169203331-01"},
		"no span":        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"},
		"version ff":     {"ff" + parent[2:]},
		"longer":         {parent + "-00"},
		"NUL":            {parent[:54] + "\x00"},
		"later, long":    {"01" + parent[2:] + "-" + strings.Repeat("0", 200)},
		"later, binary":  {"01" + parent[2:] + "-\x00"},
		"dashes":         {strings.ReplaceAll(parent, "-", "_")},
	} {
		if p, s := tracecontext.From(bus.Headers{"traceparent": values, "tracestate": {"a=1"}}); p != "" || s != "" {
			t.Errorf("%s: %q and %q", name, p, s)
		}
	}
	if p, _ := tracecontext.From(bus.Headers{"traceparent": {parent}, "Traceparent": {other}}); p != "" {
		t.Errorf("of two spellings %q was taken", p)
	}
}

func TestLaterVersionsAreRead(t *testing.T) {
	t.Parallel()
	for _, later := range []string{"01" + parent[2:], "01" + parent[2:] + "-more"} {
		if p, _ := tracecontext.From(bus.Headers{"traceparent": {later}}); p != later {
			t.Errorf("%q is read as %q", later, p)
		}
	}
}

func TestHostileStateIsLeftOut(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"two": {"a=1", "b=2"}, "huge": {strings.Repeat("a", 513)}, "NUL": {"a=\x00"}, "line break": {"a=1\nb=2"}, "empty": {""},
	} {
		if p, s := tracecontext.From(bus.Headers{"traceparent": {parent}, "tracestate": values}); p != parent || s != "" {
			t.Errorf("%s: %q and %q", name, p, s)
		}
	}
}

func TestWithReplacesEverySpellingInACopy(t *testing.T) {
	t.Parallel()
	h := bus.Headers{"Traceparent": {other}, "TRACESTATE": {"b=2"}, "X": {"1", "2"}}
	got := tracecontext.With(h, parent, "a=1")
	want := bus.Headers{"traceparent": {parent}, "tracestate": {"a=1"}, "X": {"1", "2"}}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v, want %v", got, want)
	}
	if len(h) != 3 || h.Get("Traceparent") != other {
		t.Errorf("the headers were changed: %v", h)
	}
	if none := tracecontext.With(nil, "", ""); len(none) != 0 || none == nil {
		t.Errorf("without context: %v", none)
	}
}

func FuzzFrom(f *testing.F) {
	f.Add(parent, "a=1")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, p, s string) {
		gotParent, gotState := tracecontext.From(bus.Headers{"traceparent": {p}, "tracestate": {s}})
		if gotParent != "" && gotParent != p || gotState != "" && (gotState != s || gotParent == "") {
			t.Errorf("%q, %q: read as %q, %q", p, s, gotParent, gotState)
		}
		if strings.ContainsAny(gotParent+gotState, "\x00\r\n") {
			t.Errorf("%q, %q has a control character", gotParent, gotState)
		}
	})
}
