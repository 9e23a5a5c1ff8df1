package bus

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"github.com/onceish/onceish/internal/percent"
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
	// HeaderAgain is Control.Again.
	HeaderAgain = "Onceish-Again"
	// HeaderOriginal is Control.Original.
	HeaderOriginal = "Onceish-Original"
	// HeaderBinding says which event the other control headers were written for.
	HeaderBinding = "Onceish-Binding"
)

// Control is what control headers say.
type Control struct {
	// Letter is the letter id on a dead letter: the same for every repeat of one letter.
	Letter string
	// Redriven is the id of the letter that a redriven copy came from.
	Redriven string
	// Group is the one group that a redriven or replayed copy is for; the other groups acknowledge
	// it unrun.
	Group string
	// Copy names one more copy of an event, which a bus is to store although it knows the event:
	// what it stored may be gone. To consumers it is the same event.
	Copy string
	// Again names the scope in which the event runs a second time on purpose: within one scope each
	// event runs once, whatever is done in others or without one. ValidAgain says what it may be;
	// with any other name the control headers mean nothing.
	Again string
	// Original is the position of the event that this is a copy of, as Position.String has it.
	// Empty: the one that the letter's id in Redriven names.
	Original string
}

// OriginalOr returns the position of the event that this is a copy of, and the one that is given
// where there is none.
func (c *Control) OriginalOr(at Position) Position {
	p, err := ParsePosition(c.Original)
	if err == nil && p == (Position{}) {
		p, err = letterPosition(c.Redriven)
	}
	if err != nil || p == (Position{}) {
		return at
	}
	return p
}

// letterPosition returns the position in the id of a letter, which consumers make of the group, the
// position and a token. It is zero for any other id.
func letterPosition(id string) (Position, error) {
	parts := strings.Split(id, "/")
	if len(parts) != 5 {
		return Position{}, nil
	}
	stream, err := url.PathUnescape(parts[1])
	if err != nil {
		return Position{}, err
	}
	return ParsePosition(stream + ":" + parts[2] + ":" + parts[3])
}

// fields are those of c by the names of their headers.
func (c *Control) fields() map[string]*string {
	return map[string]*string{HeaderLetter: &c.Letter, HeaderRedriven: &c.Redriven, HeaderGroup: &c.Group, HeaderCopy: &c.Copy, HeaderAgain: &c.Again, HeaderOriginal: &c.Original}
}

// maxAgain bounds Control.Again, in bytes.
const maxAgain = 64

// ValidAgain returns why a name cannot be Control.Again: it must be 1 to 64 letters, digits, '.',
// '_' and '-'.
func ValidAgain(name string) error {
	if name == "" || len(name) > maxAgain || strings.ContainsFunc(name, func(r rune) bool {
		return r > '~' || !percent.LetterOrDigit(byte(r)) && !strings.ContainsRune("._-", r)
	}) {
		return fmt.Errorf("scope %.80q: it must be 1 to %d letters, digits, '.', '_' and '-'", name, maxAgain)
	}
	return nil
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
	if first(e.Headers[HeaderBinding]) != binding(e, c) || c.Again != "" && ValidAgain(c.Again) != nil {
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

// controlHeaders are the names of all control headers.
var controlHeaders = [...]string{HeaderLetter, HeaderRedriven, HeaderGroup, HeaderCopy, HeaderAgain, HeaderOriginal, HeaderBinding}

// isControl reports whether a header is a control header, in whatever case its letters are.
func isControl(name string) bool {
	for _, header := range controlHeaders {
		if len(name) == len(header) && strings.EqualFold(name, header) {
			return true
		}
	}
	return false
}

// binding is a hash of what control headers say, and of the event that they say it of.
func binding(e *Event, c Control) string {
	data := sha256.Sum256(e.Data)
	parts := []string{LogicalTopic(e.Topic), e.Identity(), string(data[:]), c.Letter, c.Redriven, c.Group, c.Copy}
	switch { // without these the hash is that of events stored before there were any
	case c.Original != "":
		parts = append(parts, c.Again, c.Original)
	case c.Again != "":
		parts = append(parts, c.Again)
	}
	for i := range parts {
		parts[i] = visible(parts[i]) // has no ':'
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(sum[:16])
}
