package explain

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/outbox"
)

// Sources are where a group's events are looked up. They are safe for concurrent use if what they
// hold is.
type Sources struct {
	// Bus has the events. It must be a bus.Reader and a bus.Finder.
	Bus bus.Bus
	// Group is the group as it stands.
	Group Group
	// Marks are kept of the group in the store that is named. Nil: what they say is missing.
	Marks     dedupe.Inspector
	MarksName string
	// Letters of the group. Nil: what they say is missing.
	Letters *deadletter.Topic
	// Outbox that may have carried events of the group's topics. Nil: what it says is missing.
	Outbox outbox.Admin
}

// Group is a group as it stands.
type Group struct {
	Name string
	// Members are its live processes, Pauses those that are in force.
	Members []group.Member
	Pauses  []group.Paused
	// Cursors are where it stands on each topic that it is subscribed to.
	Cursors []Cursor
}

// Cursor is where a group stands on a topic, as the bus counts.
type Cursor struct {
	// Topic that was subscribed to, which may be a pattern.
	Topic string
	// Floor is the sequence up to which everything is acked, Delivered that of the last event that
	// was delivered.
	Floor, Delivered uint64
	// Pending is how many events were never delivered, Unsettled how many were and are not acked.
	Pending, Unsettled uint64
	// PausedFor is for how much longer the bus itself delivers nothing. Zero: it is not paused.
	PausedFor time.Duration
	// Now is the time by the clock that stamps stored events.
	Now time.Time
	// ID is the consumer.Options.ID of the subscription. Nil: the events' identities.
	ID func(bus.Event) string
}

// ErrCannotLook is returned when the bus cannot be read again, or single events not be looked up.
var ErrCannotLook = errors.New("the bus has no events to look up")

// lookup is a bus that can be looked into.
type lookup interface {
	bus.Bus
	bus.Reader
	bus.Finder
}

func (s *Sources) lookup() (lookup, error) {
	b, ok := s.Bus.(lookup)
	if !ok {
		return nil, fmt.Errorf("%w: it is a %T: %w", ErrCannotLook, s.Bus, errors.ErrUnsupported)
	}
	return b, nil
}

// cursorFor is the group's cursor for the events of a topic, or of one of its partitions; nil: it
// is not subscribed to it.
func (s *Sources) cursorFor(topic string) *Cursor {
	if c := s.cursorAt(topic); c != nil {
		return c
	}
	for i := range s.Group.Cursors {
		if bus.LogicalTopic(s.Group.Cursors[i].Topic) == topic {
			return &s.Group.Cursors[i]
		}
	}
	return nil
}

// cursorAt is the group's cursor for events that are stored under a topic; nil: it reads none
// there.
func (s *Sources) cursorAt(stored string) *Cursor {
	for i := range s.Group.Cursors {
		if bus.Match(bus.FilterOf(s.Group.Cursors[i].Topic), bus.SubjectOf(stored)) {
			return &s.Group.Cursors[i]
		}
	}
	return nil
}

// after is where to read a pattern behind a sequence of its stream.
func (s *Sources) after(ctx context.Context, b lookup, pattern string, sequence uint64) (bus.From, error) {
	if sequence == 0 {
		return bus.From{}, nil
	}
	info, err := bus.FindTopic(ctx, b, pattern, s.Group.Name, bus.Start{})
	if err != nil {
		return bus.From{}, err
	}
	at := bus.Position{Stream: info.Last.Stream, Sequence: sequence}
	if sequence > info.Last.Sequence {
		return bus.From{}, fmt.Errorf("sequence %d of topic %q: %w: its stream ends at sequence %d", sequence, pattern, bus.ErrNoEvent, info.Last.Sequence)
	}
	stored, err := b.Find(ctx, []bus.Position{at})
	if err != nil {
		return bus.From{}, err
	}
	at.Stored = stored[0]
	return bus.From{After: at}, nil
}

// hasStream reports whether there is something to read of a pattern. Unlike Bus.Topic it makes no
// stream on a bus that makes those that are missing.
func hasStream(ctx context.Context, b lookup, pattern string) (bool, error) {
	for _, err := range b.Read(ctx, pattern, bus.Range{From: bus.From{Time: time.Now().Add(time.Hour)}, Partitions: true, HeadersOnly: true}) {
		if errors.Is(err, bus.ErrNoStream) {
			return false, nil
		}
		if _, dropped := errors.AsType[*bus.DroppedError](err); err != nil && !dropped {
			return false, err
		}
	}
	return true, nil
}

// process is a process of the group to people.
func process(m *group.Member) string { return fmt.Sprintf("%s:%d", m.Host, m.PID) }

// ownerOf is the member that holds the claim of an owner; nil: none of those that are alive, or it
// is not known.
func (s *Sources) ownerOf(owner string) *group.Member {
	for i := range s.Group.Members {
		for _, sub := range s.Group.Members[i].Subscriptions {
			if sub.Owner != "" && strings.HasPrefix(owner, sub.Owner) {
				return &s.Group.Members[i]
			}
		}
	}
	return nil
}

// inspect is what the store keeps of a key.
func (s *Sources) inspect(ctx context.Context, keys ...dedupe.Key) ([]dedupe.Entry, error) {
	if s.Marks == nil {
		return make([]dedupe.Entry, len(keys)), nil
	}
	entries, err := s.Marks.Inspect(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("look up marks in %s: %w", s.MarksName, err)
	}
	return entries, nil
}

// keyOf is the key of an event in the group, and in the scope in which it runs again. It takes the
// event's data where the cursor has an ID. A nil cursor has none.
func (s *Sources) keyOf(c *Cursor, e *bus.Event) dedupe.Key {
	control, _ := e.Control() // of another event: means nothing
	key := dedupe.Key{Topic: bus.LogicalTopic(e.Topic), Group: s.Group.Name, ID: e.Identity(), Scope: dedupe.AgainScope(control.Again)}
	if c == nil || c.ID == nil {
		return key
	}
	if id := c.ID(e.WithoutControl()); id != "" {
		key.ID = id
	} else { // it is dead-lettered
		key.Scope = hex.EncodeToString(payloadHash(e))
	}
	return key
}

// payloadHash is the fingerprint of an event, unless the group has one of its own.
func payloadHash(e *bus.Event) []byte { return dedupe.NewHash("bytes", consumer.Bytes(*e)) }

// isSettled reports whether nothing is left to do of a key.
func isSettled(e *dedupe.Entry) bool {
	return e.Phase == dedupe.PhaseDone || e.Phase == dedupe.PhaseDead
}
