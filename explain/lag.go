package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// Lag is how far a group is behind on a topic, and why.
type Lag struct {
	Topic string `json:"topic"`
	// Pending events were never delivered, Unsettled ones were and are not acked.
	Pending   uint64 `json:"pending"`
	Unsettled uint64 `json:"unsettled"`
	// SecondsBehind is the age of the oldest event that is not settled. Zero: there is none, or it
	// was not found.
	SecondsBehind float64 `json:"seconds_behind"`
	// Oldest is that event; nil: there is none, or it was not found, which Missing says.
	Oldest *Event `json:"oldest,omitempty"`
	// Waits is what it waits for, the nearest first.
	Waits []Wait `json:"waits"`
	// Missing is what is not known, and why.
	Missing []string `json:"missing"`
}

const (
	// maxLooked bounds how many events are looked at for one that is not settled.
	maxLooked = 10_000
	// inspectedAtOnce is how many rows are looked up in one call.
	inspectedAtOnce = 500
)

// Lags returns Lag of each cursor of the group that covers a topic, or of all if that is empty.
// There are none where the group is not subscribed to it.
func (s *Sources) Lags(ctx context.Context, topic string) ([]*Lag, error) {
	lags := []*Lag{}
	for _, c := range s.Group.Cursors {
		if topic != "" && !bus.Match(c.Topic, topic) && bus.LogicalTopic(c.Topic) != topic {
			continue
		}
		lag, err := s.Lag(ctx, c)
		if err != nil {
			return nil, err
		}
		lags = append(lags, lag)
	}
	return lags, nil
}

// Lag returns how far the group is behind at a cursor, and what the oldest event waits for that is
// not settled. It looks at 10,000 events at most. It blocks for the bus and the store, and retries
// as bus.Reader does.
func (s *Sources) Lag(ctx context.Context, c Cursor) (*Lag, error) {
	out := &Lag{Topic: c.Topic, Pending: c.Pending, Unsettled: c.Unsettled, Waits: []Wait{}, Missing: []string{}}
	if c.Pending+c.Unsettled == 0 {
		return out, nil
	}
	b, err := s.lookup()
	if err != nil {
		return nil, err
	}
	if s.Marks == nil {
		out.Missing = append(out.Missing, s.missingMarks())
	}
	search := unsettledSearch{sources: s, bus: b, cursor: &c}
	found, err := search.run(ctx, c.Floor, bus.Until{}, "")
	switch {
	case err != nil:
		return nil, fmt.Errorf("lag of group %q on %q: %w", s.Group.Name, c.Topic, err)
	case found == nil:
		out.Missing = append(out.Missing, "the oldest unsettled event is not known, because "+cmp.Or(search.gaveUp, "all behind the floor are done, dead or for another group: they have only to be acked"))
		return out, nil
	}
	out.Oldest = newEvent(&found.stored)
	if !c.Now.IsZero() {
		out.SecondsBehind = max(0, c.Now.Sub(found.stored.At.Stored).Seconds())
	}
	if s.mayHaveOtherID(&c, &found.stored, &found.entry) {
		out.Missing = append(out.Missing, missingID)
	}
	out.Waits, err = s.waitsOf(ctx, b, &c, &found.stored, &found.entry)
	return out, err
}

func (s *Sources) missingMarks() string {
	return fmt.Sprintf("which events are done is not known, because there are no marks of the group in %s: if its workers keep them elsewhere, name that store",
		cmp.Or(s.MarksName, "the store"))
}

// missingID is why the store may seem to have no mark of an event that was delivered.
const missingID = "no mark was found under the event's own id: if the group has ids of its own (id: in its file, or Options.ID), they must be named"

// mayHaveOtherID reports whether an event was delivered, and nothing was found of it in the store
// under an id that may not be the group's.
func (s *Sources) mayHaveOtherID(c *Cursor, stored *bus.Stored, e *dedupe.Entry) bool {
	return s.Marks != nil && c.ID == nil && e.Phase == dedupe.PhaseAbsent && e.Err == nil && stored.At.Sequence <= c.Delivered
}

// earlierOfKey is the first event of an event's key that is not settled, and lies before it; nil:
// there is none, or the event has no key.
func (s *Sources) earlierOfKey(ctx context.Context, b lookup, c *Cursor, stored *bus.Stored) (*Event, error) {
	if stored.Event.Key == "" || stored.At.Sequence <= c.Floor+1 {
		return nil, nil //nolint:nilnil // it is the first
	}
	search := unsettledSearch{sources: s, bus: b, cursor: c}
	found, err := search.run(ctx, c.Floor, bus.Until{Position: stored.At}, stored.Event.Key)
	if err != nil || found == nil || found.stored.At.Sequence >= stored.At.Sequence {
		return nil, err
	}
	return newEvent(&found.stored), nil
}

// unsettledSearch looks for the first event of a cursor that is not settled.
type unsettledSearch struct {
	sources *Sources
	bus     lookup
	cursor  *Cursor

	looked int
	gaveUp string // why; empty: it looked at all
	batch  []bus.Stored
}

// unsettledEvent is an event, and what the store keeps of it.
type unsettledEvent struct {
	stored bus.Stored
	entry  dedupe.Entry
}

// run looks behind a sequence. A key that is not empty selects events.
func (u *unsettledSearch) run(ctx context.Context, floor uint64, until bus.Until, key string) (*unsettledEvent, error) {
	from, err := u.sources.after(ctx, u.bus, u.cursor.Topic, floor)
	if errors.Is(err, bus.ErrNoEvent) {
		u.gaveUp = "the stream was restored, and ends before the group's floor"
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, err
	}
	for stored, err := range u.bus.Read(ctx, u.cursor.Topic, bus.Range{From: from, Until: until, HeadersOnly: u.cursor.ID == nil}) {
		if _, dropped := errors.AsType[*bus.DroppedError](err); dropped {
			continue
		}
		if err != nil {
			return nil, err
		}
		if u.looked++; u.looked > maxLooked {
			u.gaveUp = fmt.Sprintf("the first %d behind the floor are settled, and no more were looked at", maxLooked)
			break
		}
		if key == "" || stored.Event.Key == key {
			u.batch = append(u.batch, stored)
		}
		if len(u.batch) == inspectedAtOnce {
			if found, err := u.firstOfBatch(ctx); found != nil || err != nil {
				return found, err
			}
		}
	}
	return u.firstOfBatch(ctx)
}

// firstOfBatch is the first event of the batch that is not settled.
func (u *unsettledSearch) firstOfBatch(ctx context.Context) (*unsettledEvent, error) {
	if len(u.batch) == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	keys := make([]dedupe.Key, len(u.batch))
	for i := range u.batch {
		if err := u.complete(ctx, &u.batch[i]); err != nil {
			return nil, err
		}
		keys[i] = u.sources.keyOf(u.cursor, &u.batch[i].Event)
	}
	entries, err := u.sources.inspect(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if stored := u.batch[i]; !isSettled(&entries[i]) && !u.isForAnother(&stored.Event) {
			return &unsettledEvent{stored, entries[i]}, nil
		}
	}
	u.batch = u.batch[:0]
	return nil, nil //nolint:nilnil // there is none
}

// complete reads the whole event where that takes its data: to know what it is, for whom, and in
// which scope.
func (u *unsettledSearch) complete(ctx context.Context, stored *bus.Stored) error {
	if _, err := stored.Event.Control(); err == nil && stored.Malformed == nil {
		return nil
	}
	e, err := u.bus.Get(ctx, stored.At)
	switch {
	case errors.Is(err, bus.ErrNoEvent), errors.Is(err, errors.ErrUnsupported):
		return nil // it is gone, or taken as it is
	case err == nil:
		stored.Event, stored.Malformed = e, nil
	case stored.Malformed == nil || ctx.Err() != nil:
		return err
	}
	return nil
}

// isForAnother reports whether an event was published again for another group.
func (u *unsettledSearch) isForAnother(e *bus.Event) bool {
	control, err := e.Control()
	return err == nil && control.Group != "" && control.Group != u.sources.Group.Name
}
