package replay_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/replay"
)

func TestAFilterSelectsByEachOfItsFields(t *testing.T) {
	t.Parallel()
	e := bus.Event{
		ID: "17", Topic: "order.eu.placed", Key: "ada", Data: []byte(`{"total":42}`), Headers: bus.Headers{"tenant": {"a", "b"}, "Trace": {"1"}},
	}
	full := e
	full.Type, full.Source = "placed", "/shop"
	for name, c := range map[string]struct {
		f    replay.Filter
		e    bus.Event
		want bool
	}{
		"none":            {replay.Filter{}, e, true},
		"topic":           {replay.Filter{Topic: "order.*.placed"}, e, true},
		"other topic":     {replay.Filter{Topic: "order.*"}, e, false},
		"id":              {replay.Filter{IDs: []string{"16", "17"}}, e, true},
		"other id":        {replay.Filter{IDs: []string{"1"}}, e, false},
		"type":            {replay.Filter{Type: "placed"}, full, true},
		"default type":    {replay.Filter{Type: "order.eu.placed"}, e, true},
		"other type":      {replay.Filter{Type: "order.eu.placed"}, full, false},
		"source":          {replay.Filter{Source: "/shop"}, full, true},
		"default source":  {replay.Filter{Source: bus.DefaultSource}, e, true},
		"other source":    {replay.Filter{Source: bus.DefaultSource}, full, false},
		"key":             {replay.Filter{Key: "ada"}, e, true},
		"other key":       {replay.Filter{Key: "bob"}, e, false},
		"headers":         {replay.Filter{Headers: bus.Headers{"Tenant": {"b", "a"}, "trace": {"1"}}}, e, true},
		"other value":     {replay.Filter{Headers: bus.Headers{"Tenant": {"a", "c"}}}, e, false},
		"other header":    {replay.Filter{Headers: bus.Headers{"Tenants": {"a"}}}, e, false},
		"data":            {replay.Filter{Data: `"total":4`}, e, true},
		"other data":      {replay.Filter{Data: `"total":5`}, e, false},
		"all but one":     {replay.Filter{Topic: "order.>", IDs: []string{"17"}, Key: "ada", Data: "43"}, e, false},
		"all that it has": {replay.Filter{Topic: "order.>", IDs: []string{"17"}, Key: "ada", Data: "42"}, e, true},
	} {
		if got := c.f.Matches(&c.e); got != c.want {
			t.Errorf("%s: %v; want %v", name, got, c.want)
		}
	}
}

// What is not selected is not written, and a later export does not look at it again.
func TestAnExportWritesWhatTheFilterSelects(t *testing.T) {
	t.Parallel()
	b := newBus(t, 0)
	publish(t, b, numbered(10_000)...)
	var out bytes.Buffer
	var progress []uint64
	n, err := replay.Export(t.Context(), b, topic, bus.Range{}, &out, &replay.ExportOptions{
		Filter:   replay.Filter{IDs: []string{"3", "17"}},
		Progress: func(n replay.Exported) { progress = append(progress, n.Last.Sequence) },
	})
	if err != nil || n.Events != 2 || n.Last.Sequence != 10_000 || strings.Count(out.String(), "\n") != 2 || len(progress) < 3 {
		t.Errorf("%+v, %v, progress at %v; want 2 events, all looked at, and progress meanwhile", n, err, progress)
	}
	if _, err := replay.Export(t.Context(), b, topic, bus.Range{}, &out, &replay.ExportOptions{Filter: replay.Filter{Topic: "a..b"}}); err == nil {
		t.Error("a filter that is none was taken")
	}
	follow := bus.Range{From: bus.From{After: n.Last}, Until: bus.Until{Time: time.Now().Add(time.Hour)}}
	if n, err := replay.Export(t.Context(), b, topic, follow, &out, nil); err != nil || n.Events != 0 {
		t.Errorf("%+v, %v; want nothing more", n, err)
	}
}
