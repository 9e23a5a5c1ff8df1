package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
)

// Query names an event.
type Query struct {
	// Topic is the event's own.
	Topic string
	// ID is the event's. One of ID, Sequence and Letter is set.
	ID string
	// Source is the event's, beside ID. Empty: any, if the events found have one.
	Source string
	// Sequence is that of any copy of the event in its stream.
	Sequence uint64
	// Letter is the id of a dead letter of the event, also of one that is gone, if the stream has
	// the copy that was redriven from it.
	Letter string
	// From bounds how far back the topic is read: to the first event stored at or after it. Zero:
	// to where the store or a letter says that the event lies, or else to the earliest event.
	From time.Time
	// Progress is called now and then with how many events of the topic were read. Nil: nobody is.
	Progress func(events int)
}

// ErrAmbiguous is returned when several events of the topic have the id.
var ErrAmbiguous = errors.New("more than one event has this id")

// Story is what became of an event in a group.
type Story struct {
	Topic  string `json:"topic"`
	Group  string `json:"group"`
	ID     string `json:"id"`
	Source string `json:"source,omitempty"`
	Key    string `json:"key,omitempty"`
	// Standing is that of the first time, or of the scope that the copy or letter is of which the
	// query names. Its Summary names the others, too.
	Standing

	// Others is where the event stands in the other scopes, that its copies and letters name.
	Others []Standing `json:"others,omitempty"`
	// Timeline is what happened, in its order: that of the times, but no attempt or letter stands
	// before what it followed from, whatever clock it has its time from. Lines without a time come
	// last.
	Timeline []Line `json:"timeline"`
	// Missing is what is not known, and why.
	Missing []string `json:"missing"`
}

// Sources of a Line.
const (
	FromStream = "stream"
	FromRow    = "row"
	FromLetter = "letter"
	FromOutbox = "outbox"
)

// Line is something that happened to an event.
type Line struct {
	// Time is by the clock of the source. Zero: it is not known.
	Time time.Time `json:"time,omitzero"`
	// Source is where it is known from: FromStream, FromRow, FromLetter or FromOutbox.
	Source string `json:"source"`
	// Event is what happened: published, redriven, replayed, copied, reused; claimed, failed,
	// handled, given up, dead; dead-lettered, edited; added, sent, refused.
	Event string `json:"event"`
	// Text says the details to people.
	Text string `json:"text"`

	// Scope is that in which the event runs again. Empty: it is the first time.
	Scope       string     `json:"scope,omitempty"`
	Position    string     `json:"position,omitempty"`
	Sequence    uint64     `json:"sequence,string,omitempty"`
	Group       string     `json:"group,omitempty"`
	Bytes       int        `json:"bytes,omitempty"`
	Attempt     int        `json:"attempt,omitempty"`
	Process     string     `json:"process,omitempty"`
	Token       uint64     `json:"token,string,omitempty"`
	TookSeconds float64    `json:"took_seconds,omitempty"`
	Error       string     `json:"error,omitempty"`
	Letter      string     `json:"letter,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	// Topic and ID are those of an event that this one has caused.
	Topic string `json:"topic,omitempty"`
	ID    string `json:"id,omitempty"`

	after time.Time // when that happened which it followed from
}

// compareLines orders lines.
func compareLines(a, b Line) int {
	if a.Time.IsZero() != b.Time.IsZero() {
		return cmp.Compare(b.Time.Unix(), a.Time.Unix())
	}
	return later(a.Time, a.after).Compare(later(b.Time, b.after))
}

// Story returns what became of an event. It blocks for the bus, the store, the letters and the
// outbox, reads the topic from Query.From on, and retries as bus.Reader does. An event that nothing
// is known of is no error, but Story.State NotFound. ErrAmbiguous: name the source, or a sequence.
func (s *Sources) Story(ctx context.Context, q Query) (*Story, error) {
	look, err := s.lookup()
	if err != nil {
		return nil, err
	}
	b := &storyBuilder{sources: s, bus: look, cursor: s.cursorFor(q.Topic), q: q, now: time.Now(), story: Story{
		Topic: q.Topic, Group: s.Group.Name, ID: q.ID, Source: q.Source, Timeline: []Line{}, Missing: []string{},
	}}
	for _, step := range []func(context.Context) error{
		b.findSequence, b.findLetters, b.findCopies, b.inspectRows, b.addOutbox, b.conclude,
	} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("explain an event of %q in group %q: %w", q.Topic, s.Group.Name, err)
		}
	}
	slices.SortStableFunc(b.story.Timeline, compareLines)
	return &b.story, nil
}

// storyBuilder collects a story.
type storyBuilder struct {
	sources *Sources
	bus     lookup
	cursor  *Cursor // nil: the group is not subscribed to the topic
	q       Query
	now     time.Time
	story   Story

	noStream bool
	read     int    // events of the topic
	named    uint64 // sequence of the copy that the query names, itself or by a letter; 0: none
	scope    string // of that copy
	copies   []eventCopy
	letters  []deadletter.Letter
	rows     []row // the first one is of the scope above
}

func (b *storyBuilder) addLine(l Line) {
	l.Time = l.Time.UTC()
	b.story.Timeline = append(b.story.Timeline, l)
}

// addMissing says what is not known, and why.
func (b *storyBuilder) addMissing(format string, args ...any) {
	b.story.Missing = append(b.story.Missing, fmt.Sprintf(format, args...))
}

// event is the event as far as it is known, for its key.
func (b *storyBuilder) event() *bus.Event {
	return &bus.Event{Topic: b.q.Topic, ID: b.story.ID, Source: b.story.Source}
}

// hasOwnIDs reports whether the group's ids of events are made of their data.
func (b *storyBuilder) hasOwnIDs() bool { return b.cursor != nil && b.cursor.ID != nil }
