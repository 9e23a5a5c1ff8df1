package bus

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
)

// Control headers carry what the processes of Onceish tell each other about one event. They are
// written by Event.WithControl, and count only on the event that they were written for. On any
// other one they mean nothing: publishers drop them, consumers ignore them, and no handler sees
// them.
const (
	// HeaderLetter is Control.Letter.
	HeaderLetter = "Onceish-Letter"
	// HeaderRedriven is Control.Redriven.
	HeaderRedriven = "Onceish-Redriven"
	// HeaderGroup is Control.Group.
	HeaderGroup = "Onceish-Group"
	// HeaderCopy is Control.Copy.
	HeaderCopy = "Onceish-Copy"
	// HeaderBinding says which event the other control headers were written for.
	HeaderBinding = "Onceish-Binding"
)

// Control is what control headers say.
type Control struct {
	// Letter is the letter id on a dead letter: the same for every repeat of one letter.
	Letter string
	// Redriven is the id of the letter that a redriven copy came from.
	Redriven string
	// Group is the one group that a redriven copy is for; the other groups acknowledge it unrun.
	Group string
	// Copy names one more copy of an event, which a bus is to store although it knows the event:
	// what it stored may be gone. To consumers it is the same event.
	Copy string
}

// fields are those of c by the names of their headers.
func (c *Control) fields() map[string]*string {
	return map[string]*string{HeaderLetter: &c.Letter, HeaderRedriven: &c.Redriven, HeaderGroup: &c.Group, HeaderCopy: &c.Copy}
}

// errForeignControl is the error of Event.Control.
var errForeignControl = errors.New("its control headers were written for another event")

// WithControl returns the event with control headers that say c, bound to it: its Topic, ID, Source
// and Data must be final. It shares no headers with e.
func (e Event) WithControl(c Control) Event {
	e = e.WithoutControl()
	if c == (Control{}) {
		return e
	}
	e.Headers = e.Headers.Clone()
	for name, value := range c.fields() {
		if *value != "" {
			e.Headers.Set(name, visible(*value))
		}
	}
	e.Headers.Set(HeaderBinding, binding(&e, c))
	return e
}

// Control returns what the event's control headers say. It is zero, with an error, when they were
// written for another event.
func (e *Event) Control() (Control, error) {
	if !e.hasControl() {
		return Control{}, nil
	}
	var c Control
	for name, field := range c.fields() {
		value, err := url.PathUnescape(first(e.Headers[name]))
		if err != nil {
			return Control{}, fmt.Errorf("%w: %s: %w", errForeignControl, name, err)
		}
		*field = value
	}
	if first(e.Headers[HeaderBinding]) != binding(e, c) {
		return Control{}, errForeignControl
	}
	return c, nil
}

// WithoutControl returns the event without control headers. It shares the headers with e if there
// are none to leave out.
func (e Event) WithoutControl() Event {
	if !e.hasControl() {
		return e
	}
	e.Headers = maps.Clone(e.Headers)
	maps.DeleteFunc(e.Headers, func(name string, _ []string) bool { return isControl(name) })
	return e
}

// DropForeignControl returns the event as a publisher stores it: without control headers, unless
// they were written for it.
func DropForeignControl(e Event) Event {
	if _, err := e.Control(); err != nil {
		return e.WithoutControl()
	}
	return e
}

func (e *Event) hasControl() bool {
	for name := range e.Headers {
		if isControl(name) {
			return true
		}
	}
	return false
}

// isControl reports whether a header is a control header, in whatever case its letters are.
func isControl(name string) bool {
	switch len(name) {
	case len(HeaderLetter), len(HeaderRedriven), len(HeaderGroup), len(HeaderCopy), len(HeaderBinding):
		return strings.EqualFold(name, HeaderLetter) || strings.EqualFold(name, HeaderRedriven) ||
			strings.EqualFold(name, HeaderGroup) || strings.EqualFold(name, HeaderCopy) || strings.EqualFold(name, HeaderBinding)
	}
	return false
}

// binding is a hash of what control headers say, and of the event that they say it of.
func binding(e *Event, c Control) string {
	data := sha256.Sum256(e.Data)
	parts := []string{e.Topic, e.Identity(), string(data[:]), c.Letter, c.Redriven, c.Group, c.Copy}
	for i := range parts {
		parts[i] = visible(parts[i]) // has no ':'
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(sum[:16])
}
