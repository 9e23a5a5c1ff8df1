package protocol

import (
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/backoff"
)

// Lookup asks what became of an event that was nacked here and not redelivered here since.
type Lookup struct {
	Key dedupe.Key
	At  bus.Position
	// Overdue is set where the event should have been redelivered long ago, so the bus may have
	// dropped it.
	Overdue bool
}

// Lookups is one round of questions. The driver asks the bus first whether it still has what is
// overdue, then the store what it knows of all of them: in this order an event that another process
// settles meanwhile, and that the bus then deletes, is seen as settled.
type Lookups struct {
	Items   []Lookup
	entries []lookupEntry
	sent    time.Time
}

// lookupEntry is a redelivery that is looked up, and whether the bus had passed it before.
type lookupEntry struct {
	*pendingRedelivery

	belowFloor bool
}

// Empty reports whether there is nothing to ask.
func (l *Lookups) Empty() bool { return len(l.Items) == 0 }

// Gone is an event that nobody settled, and that the bus does not redeliver.
type Gone struct {
	Lookup

	// Kept reports whether its data is still in this process. It is dead-lettered then, unless the
	// event turns out to be done.
	Kept bool
}

// Lookups takes what is to be looked up now.
func (m *Machine) Lookups(now time.Time) Lookups {
	if !m.mayLookUp(now) {
		return Lookups{}
	}
	m.expected.nextLookup = now.Add(lookupInterval)
	rs := m.expected.toLookUp(now, m.cfg.MaxBatch)
	if len(rs) == 0 {
		return Lookups{}
	}
	m.expected.lookingUp = true
	out := Lookups{Items: make([]Lookup, len(rs)), entries: make([]lookupEntry, len(rs)), sent: now}
	for i, r := range rs {
		out.entries[i] = lookupEntry{pendingRedelivery: r, belowFloor: r.belowFloor}
		out.Items[i] = Lookup{Key: r.lookupKey, At: r.at, Overdue: now.Sub(r.due) >= m.cfg.AckWait}
	}
	return out
}

// mayLookUp reports whether it is time for a round of look-ups.
func (m *Machine) mayLookUp(now time.Time) bool {
	e := &m.expected
	return len(e.byPlace) > 0 && !e.lookingUp && !m.draining && !now.Before(e.nextLookup)
}

// LookedUp takes the answers: known is what the store knows, there reports for each event that is
// overdue whether the bus still has it, and is nil if the bus cannot tell. LookedUp returns what is
// gone and was never settled.
func (m *Machine) LookedUp(now time.Time, b Lookups, known []dedupe.Record, there []bool, err error) []Gone {
	m.expected.lookingUp = false
	var gone []Gone
	for i, e := range b.entries {
		r := e.pendingRedelivery
		if r.over {
			continue
		}
		r.lookups++
		r.lookAt = now.Add(backoff.Doubled(m.cfg.firstLookup(), r.lookups-1, retryMax))
		switch {
		case err != nil:
		case r.lookupKey == r.key && dedupe.Differ(known[i].Hash, r.arrival.Hash):
			// The id is another payload's.
			r.lookupKey, r.lookAt = payloadKey(r.key, r.arrival.Hash), now
		case r.settledOrElsewhere(known[i], b.sent):
			m.clearRedelivery(now, r)
		case m.isHalted(), b.sent.Before(r.heldUntil), b.sent.Before(m.expected.cursorRebuilt):
			// Next time.
		case e.belowFloor, b.Items[i].Overdue && there != nil && !there[i]:
			gone = append(gone, Gone{Lookup: Lookup{Key: r.key, At: r.at}, Kept: r.arrival.Delivery != nil})
			m.handleGone(now, r)
		}
	}
	return gone
}

// handleGone dead-letters an event that the bus does not have any more, or only counts it where its
// data was not kept.
func (m *Machine) handleGone(now time.Time, r *pendingRedelivery) {
	if r.arrival.Delivery == nil {
		m.stats.Dropped++
		m.clearRedelivery(now, r)
		return
	}
	m.expected.remove(r)
	c := deliveryCopy{Arrival: r.arrival, cursorGone: true, heldUntil: r.heldUntil, mayHoldClaim: r.mayHoldClaim}
	m.heldBytes += c.memorySize()
	if c.DeadLetterReason == "" {
		c.DeadLetterReason = ReasonDropped
	}
	m.admitCopy(now, c)
	m.advanceKeyQueue(now, r.order)
}
