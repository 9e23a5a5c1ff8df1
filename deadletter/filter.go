package deadletter

import (
	"bytes"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// Filter selects letters. The zero Filter selects all; every field that is set must match.
type Filter struct {
	// Group that gave the event up.
	Group string
	// Topic of the event, which may be a pattern.
	Topic string
	// Since and Until: the letter was stored at or after Since, and before Until.
	Since, Until time.Time
	// Error, Reason and Data are parts of those of the letter and its event.
	Error, Reason, Data string
	// Type of the event.
	Type string
	// ID of the event, or of the letter.
	ID string
}

// needsEvent reports whether it takes the event to match the filter, of which a letter with parts
// has next to nothing.
func (f *Filter) needsEvent() bool {
	return f.Topic != "" || f.Type != "" || f.ID != "" || f.Data != ""
}

// matches reports whether the filter selects a letter. Its event must be there if the filter needs
// it.
func (f *Filter) matches(l *Letter) bool {
	e := &l.Event
	return f.matchesReason(l) && (f.Topic == "" || bus.Match(f.Topic, e.Topic)) && (f.Type == "" || f.Type == e.Type) &&
		(f.ID == "" || f.ID == e.ID || f.ID == l.ID) && (f.Data == "" || bytes.Contains(e.Data, []byte(f.Data)))
}

// matchesReason reports whether the filter may select a letter, whatever its event is.
func (f *Filter) matchesReason(l *Letter) bool {
	return (f.Group == "" || f.Group == l.Group) && strings.Contains(l.Error, f.Error) && strings.Contains(l.Reason, f.Reason) &&
		!l.Position.Stored.Before(f.Since) && (f.Until.IsZero() || l.Position.Stored.Before(f.Until))
}

// rejects reports whether single headers or the data show that the filter does not select a letter,
// which is much cheaper to see than to read the letter. What is no letter it does not reject.
func (f *Filter) rejects(e *bus.Event) bool {
	for _, part := range []struct{ name, of string }{{"Error", f.Error}, {"Reason", f.Reason}} {
		if part.of == "" {
			continue
		}
		if text, ok := consumer.LetterText(e, part.name); ok && !strings.Contains(text, part.of) {
			return true
		}
	}
	if f.Group != "" {
		if group, ok := consumer.LetterText(e, "Group"); ok && group != f.Group {
			return true
		}
	}
	return f.rejectsEvent(e)
}

// rejectsEvent looks at what the headers say of the event, unless that is in parts.
func (f *Filter) rejectsEvent(e *bus.Event) bool {
	if parts, ok := consumer.LetterText(e, "Parts"); !ok || parts != "0" {
		return false
	}
	if f.Type != "" {
		if kind, ok := consumer.LetterText(e, "Type"); ok && kind != f.Type {
			return true
		}
	}
	if f.ID != "" {
		if id, ok := consumer.LetterText(e, "Id"); ok && id != f.ID && e.ID != f.ID {
			return true
		}
	}
	return !bytes.Contains(e.Data, []byte(f.Data))
}
