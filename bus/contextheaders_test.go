package bus_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/onceish/onceish/bus"
)

func TestContextHeadersAreAddedToACopy(t *testing.T) {
	t.Parallel()
	carry := bus.ContextHeaders(func(context.Context) bus.Headers { return bus.Headers{"traceparent": {"00"}, "tracestate": {"a"}} })
	h := bus.Headers{"X": {"1", "2"}}
	got := carry.AddTo(t.Context(), h)
	if want := (bus.Headers{"X": {"1", "2"}, "traceparent": {"00"}, "tracestate": {"a"}}); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v, want %v", got, want)
	}
	if len(h) != 1 {
		t.Errorf("the event's own headers were changed: %v", h)
	}
	if got := carry.AddTo(t.Context(), nil); len(got) != 2 {
		t.Errorf("an event without headers has %v", got)
	}
}

// A traceparent with the tracestate of another trace would be a lie.
func TestContextHeadersLeaveTheEventsOwn(t *testing.T) {
	t.Parallel()
	carry := bus.ContextHeaders(func(context.Context) bus.Headers { return bus.Headers{"traceparent": {"00"}, "tracestate": {"a"}} })
	if got := carry.AddTo(t.Context(), bus.Headers{"TraceParent": {"01"}}); len(got) != 1 || got.Get("traceparent") != "01" {
		t.Errorf("the event has %v, want its own alone", got)
	}
}

func TestContextWithoutHeadersAddsNothing(t *testing.T) {
	t.Parallel()
	h := bus.Headers{"X": {"1"}}
	none := bus.ContextHeaders(func(context.Context) bus.Headers { return nil })
	for _, carry := range []bus.ContextHeaders{nil, none} {
		if got := carry.AddTo(t.Context(), h); len(got) != 1 {
			t.Errorf("%v", got)
		}
		if got := carry.AddTo(t.Context(), nil); got != nil {
			t.Errorf("%v, want nil", got)
		}
	}
}
