package tracecontext

import (
	"maps"
	"strings"

	"github.com/onceish/onceish/bus"
)

// The names of the headers, in the case in which they are written.
const (
	HeaderParent = "traceparent"
	HeaderState  = "tracestate"
)

// The lengths of a traceparent: of version 00, and of a later one at most. maxState is that of a
// tracestate.
const (
	parentLength    = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	maxParentLength = 128
	maxState        = 512
)

// From returns the trace context of an event's headers, in whatever case their names are. What is
// malformed, too long, or a traceparent with several values is none: both are empty. A tracestate
// that cannot be read is left out.
func From(h bus.Headers) (parent, state string) {
	parents, states := 0, 0
	for name, values := range h {
		switch {
		case len(name) == len(HeaderParent) && strings.EqualFold(name, HeaderParent):
			for _, v := range values {
				parent = v
				parents++
			}
		case len(name) == len(HeaderState) && strings.EqualFold(name, HeaderState):
			for _, v := range values {
				state = v
				states++
			}
		}
	}
	switch {
	case parents != 1 || !validParent(parent):
		return "", ""
	case states != 1 || !validState(state):
		return parent, ""
	}
	return parent, state
}

// With returns headers with this trace context in place of any other. It does not change h, and
// shares its values. Empty: without that header.
func With(h bus.Headers, parent, state string) bus.Headers {
	out := maps.Clone(h)
	if out == nil {
		out = make(bus.Headers, 2)
	}
	for name := range h {
		if strings.EqualFold(name, HeaderParent) || strings.EqualFold(name, HeaderState) {
			delete(out, name)
		}
	}
	if parent != "" {
		out.Set(HeaderParent, parent)
	}
	if state != "" {
		out.Set(HeaderState, state)
	}
	return out
}

// validParent reports whether a traceparent is one, as far as its version is known: version, trace
// id, span id and flags in lower-case hexadecimal, of which the ids are not zero.
func validParent(s string) bool {
	if len(s) < parentLength || len(s) > maxParentLength || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	version, traceID, spanID, flags := s[:2], s[3:35], s[36:52], s[53:55]
	switch {
	case !isHex(version) || !isHex(traceID) || !isHex(spanID) || !isHex(flags), version == "ff", isZero(traceID), isZero(spanID):
		return false
	case len(s) == parentLength:
		return true
	}
	return version != "00" && s[parentLength] == '-' && isVisible(s)
}

func validState(s string) bool { return s != "" && len(s) <= maxState && isVisible(s) }

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

func isZero(s string) bool { return strings.Trim(s, "0") == "" }

// isVisible reports whether a value is printable ASCII, so that it fits into every header and
// environment.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
