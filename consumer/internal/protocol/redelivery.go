package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// pendingRedelivery is an event that this process nacked, and that the bus is to deliver again. It is
// expected until the event was settled, is seen with another owner, or is gone from the bus: no
// clock ends it, for a clock also runs while nothing can be delivered. Until then nothing later of
// its order key starts here.
type pendingRedelivery struct {
	arrival      Arrival // its Delivery is nil where there was no room to keep the data
	key          dedupe.Key
	lookupKey    dedupe.Key // what it is looked up by
	order        string
	at           bus.Position
	due          time.Time // the bus delivers it then, at the earliest
	heldUntil    time.Time // until then the store answers Held because of this process itself
	mayHoldClaim bool      // the row may still be claimed by this process: whether by another, only its end or a claim can show
	size         int       // of the data that is kept
	uncounted    int       // arrivals that were no attempts

	stream     string    // the incarnation of the stream that the cursor reads
	belowFloor bool      // the bus counts it as settled, and will not deliver it again
	lookAt     time.Time // when to look next what became of it
	lookups    int
	over       bool
}

// eventPlace is where an event lies. The incarnation of its stream is no part of it: a stream that was
// restored has another.
type eventPlace struct {
	sequence uint64
	stored   int64
}

func placeOf(at bus.Position) eventPlace { return eventPlace{at.Sequence, at.Stored.UnixNano()} }

// pendingRedeliveries are the events that are expected back.
type pendingRedeliveries struct {
	byPlace   map[eventPlace]*pendingRedelivery
	byKey     map[dedupe.Key]*pendingRedelivery // the latest of each key
	keptBytes int                               // bytes of data
}

// expectRedelivery notes that an event was nacked.
func (m *Machine) expectRedelivery(now time.Time, a *deliveryCopy, ans *Answer) {
	if m.draining || ans.elsewhere {
		return
	}
	at := a.Delivery.At
	r := &pendingRedelivery{key: a.Key, lookupKey: a.Key, order: a.Order, at: at, due: now.Add(ans.After), heldUntil: ans.heldUntil, arrival: a.Arrival}
	r.mayHoldClaim = ans.mayHoldClaim || a.mayHoldClaim || (ans.Job != nil && ans.Job.uncertain)
	if a.heldUntil.After(r.heldUntil) {
		r.heldUntil = a.heldUntil
	}
	if r.uncounted = a.uncounted; ans.Outcome != Failed {
		r.uncounted++
	}
	if known := m.expected.byKey[r.key]; known != nil && known.heldUntil.After(r.heldUntil) {
		r.heldUntil, r.mayHoldClaim = known.heldUntil, known.mayHoldClaim
	}
	r.stream = at.Stream
	r.lookAt = r.due.Add(m.cfg.firstLookup())
	if size := a.memorySize(); m.expected.keptBytes+size <= m.cfg.MaxBytes/2 {
		r.size = size
		m.expected.keptBytes += size
	} else {
		r.arrival.Delivery = nil
	}
	if old := m.expected.byPlace[placeOf(at)]; old != nil {
		m.clearRedelivery(old)
	}
	m.expected.byPlace[placeOf(at)], m.expected.byKey[r.key] = r, r
	if r.order != "" {
		m.keyQueueOf(r.order).expectRedelivery(r)
	}
}

// takeRedelivery takes what was expected at the place of a delivery off the list. What was known of
// the event, there or at another place, goes on with the delivery.
func (m *Machine) takeRedelivery(a *deliveryCopy) {
	if r := m.expected.byKey[a.Key]; r != nil {
		a.heldUntil, a.mayHoldClaim = r.heldUntil, r.mayHoldClaim
	}
	if r := m.expected.byPlace[placeOf(a.Delivery.At)]; r != nil {
		if r.key == a.Key && r.heldUntil.After(a.heldUntil) {
			a.heldUntil, a.mayHoldClaim = r.heldUntil, r.mayHoldClaim
		}
		a.uncounted = r.uncounted
		m.clearRedelivery(r)
	}
}

// clearRedelivery stops expecting an event.
func (m *Machine) clearRedelivery(r *pendingRedelivery) {
	delete(m.expected.byPlace, placeOf(r.at))
	if m.expected.byKey[r.key] == r {
		delete(m.expected.byKey, r.key)
	}
	m.expected.keptBytes -= r.size
	r.over = true
	if l := m.keyQueues[r.order]; l != nil && r.order != "" {
		l.clearRedelivery(r)
	}
}

// expectFromNewCursor has everything expected from a new cursor. What its watermark covers is
// not delivered again. Most of it was settled; the bus also passes what it has dropped. The
// store tells which.
func (m *Machine) expectFromNewCursor(now time.Time, w bus.Position) {
	m.cursorRebuilt = now
	for _, r := range m.expected.byPlace {
		r.stream = w.Stream
		if r.belowFloor = w.Covers(r.at); r.belowFloor {
			r.lookAt = now
		}
	}
}

// clearAndAdvance stops expecting an event, and lets go ahead what waited for it.
func (m *Machine) clearAndAdvance(now time.Time, r *pendingRedelivery) {
	m.clearRedelivery(r)
	m.advanceKeyQueue(now, r.order)
}

// SetFloor takes the bus's own floor: all at or below is settled by its count, and is not delivered
// again. What was nacked here and was settled by nobody is lost there: a stream was restored, or
// somebody moved the cursor. A floor that was asked for before the cursor was rebuilt says nothing
// of the new one.
func (m *Machine) SetFloor(asked time.Time, stream string, floor uint64) {
	if asked.Before(m.cursorRebuilt) {
		return
	}
	for _, r := range m.expected.byPlace {
		if r.stream == stream && r.at.Sequence <= floor && !r.belowFloor {
			r.belowFloor, r.lookAt = true, asked
		}
	}
}

// Lookup asks what became of an event that was nacked here and was not delivered here since.
type Lookup struct {
	Key dedupe.Key
	At  bus.Position
	// Overdue: it should have been delivered long ago, so the bus may have dropped it.
	Overdue bool
}

// Lookups are questions for one round: first whether the bus still has what is overdue, then what
// the store knows of all of them. In this order an event that another process settles meanwhile,
// and that the bus then deletes, is seen as settled.
type Lookups struct {
	Items []Lookup
	asked []lookupEntry
	sent  time.Time
}

// lookupEntry is a redelivery that is looked up, and whether the bus had passed it before.
type lookupEntry struct {
	*pendingRedelivery

	belowFloor bool
}

// Empty: there is nothing to ask.
func (l *Lookups) Empty() bool { return len(l.Items) == 0 }

// Gone is an event that nobody settled, and that the bus does not deliver again.
type Gone struct {
	Lookup

	// Kept: its data is still in this process, and is dead-lettered unless the event turns
	// out to be done.
	Kept bool
}

// ReasonDropped begins the reason of a dead letter whose event the bus will not deliver again.
const ReasonDropped = "dropped: the bus lost the event while it waited to be delivered again (limits, purge, expiry, or a cursor that was moved)"

// Lookups takes what is to be asked now. What holds up others goes first.
func (m *Machine) Lookups(now time.Time) Lookups {
	if !m.mayLookUp(now) {
		return Lookups{}
	}
	m.nextLookup = now.Add(lookupInterval)
	rs := m.redeliveriesToLookUp(now)
	if len(rs) == 0 {
		return Lookups{}
	}
	m.lookingUp = true
	out := Lookups{Items: make([]Lookup, len(rs)), asked: make([]lookupEntry, len(rs)), sent: now}
	for i, r := range rs {
		out.asked[i] = lookupEntry{pendingRedelivery: r, belowFloor: r.belowFloor}
		out.Items[i] = Lookup{Key: r.lookupKey, At: r.at, Overdue: now.Sub(r.due) >= m.cfg.AckWait}
	}
	return out
}

// compareRedeliveries puts redeliveries in the order of their places.
func compareRedeliveries(a, b *pendingRedelivery) int {
	return cmp.Or(cmp.Compare(a.at.Sequence, b.at.Sequence), a.at.Stored.Compare(b.at.Stored))
}

// mayLookUp reports whether it is time to see what is to be looked up.
func (m *Machine) mayLookUp(now time.Time) bool {
	return len(m.expected.byPlace) > 0 && !m.lookingUp && !m.draining && !now.Before(m.nextLookup)
}

// redeliveriesToLookUp returns at most a batch of redeliveries that are to be looked up.
func (m *Machine) redeliveriesToLookUp(now time.Time) []*pendingRedelivery {
	var blocking, rest []*pendingRedelivery
	for _, r := range m.expected.byPlace {
		if now.Before(r.lookAt) {
			continue
		}
		if l := m.keyQueues[r.order]; r.order != "" && l != nil && len(l.waiting) > 0 && l.expected[0] == r {
			blocking = append(blocking, r)
		} else {
			rest = append(rest, r)
		}
	}
	slices.SortFunc(blocking, compareRedeliveries)
	slices.SortFunc(rest, compareRedeliveries)
	rs := slices.Concat(blocking, rest)
	return rs[:min(len(rs), m.cfg.MaxBatch)]
}

// LookedUp takes the answers: what the store knows, and whether the bus still has each event, of
// those that are overdue; a nil there says that the bus cannot tell. It returns what is gone and
// was never settled.
func (m *Machine) LookedUp(now time.Time, b Lookups, known []dedupe.Record, there []bool, err error) []Gone {
	m.lookingUp = false
	var gone []Gone
	for i, a := range b.asked {
		r := a.pendingRedelivery
		if r.over {
			continue
		}
		r.lookups++
		r.lookAt = now.Add(doubledUpTo(m.cfg.firstLookup(), r.lookups-1, retryMax))
		switch {
		case err != nil:
		case r.lookupKey == r.key && dedupe.Differ(known[i].Hash, r.arrival.Hash):
			r.lookupKey, r.lookAt = payloadKey(r.key, r.arrival.Hash), now // the id is another payload's
		case r.settledOrElsewhere(known[i], b.sent):
			m.clearAndAdvance(now, r)
		case m.isHalted(), b.sent.Before(r.heldUntil), b.sent.Before(m.cursorRebuilt): // the next time
		case a.belowFloor, b.Items[i].Overdue && there != nil && !there[i]:
			gone = append(gone, Gone{Lookup: Lookup{Key: r.key, At: r.at}, Kept: r.arrival.Delivery != nil})
			m.handleDropped(now, r)
		}
	}
	return gone
}

// settledOrElsewhere reports whether what the store knew when it was asked ends the wait for
// a redelivery.
func (r *pendingRedelivery) settledOrElsewhere(known dedupe.Record, asked time.Time) bool {
	switch known.State {
	case dedupe.Done, dedupe.Dead:
		return true
	case dedupe.Held:
		return !r.mayHoldClaim && !asked.Before(r.heldUntil)
	default:
		return false
	}
}

// handleDropped gives up an event that the bus does not have any more: with its data if that is kept,
// else it is only counted.
func (m *Machine) handleDropped(now time.Time, r *pendingRedelivery) {
	if r.arrival.Delivery == nil {
		m.stats.Dropped++
		m.clearAndAdvance(now, r)
		return
	}
	m.clearRedelivery(r)
	a := deliveryCopy{Arrival: r.arrival, cursorGone: true, heldUntil: r.heldUntil, mayHoldClaim: r.mayHoldClaim}
	m.heldBytes += a.memorySize()
	if a.DeadLetterReason == "" {
		a.DeadLetterReason = ReasonDropped
	}
	m.admitCopy(now, a)
	m.advanceKeyQueue(now, r.order)
}

// Overdue tells of the order key for which events wait although the event before them is long due:
// since when, for which sequence, and how many. Not ok: none waits for longer than that.
func (m *Machine) Overdue(now time.Time, longer time.Duration) (o Overdue, ok bool) {
	for key, l := range m.keyQueues {
		if len(l.waiting) == 0 || l.head != nil || len(l.expected) == 0 {
			continue
		}
		if r := l.expected[0]; now.Sub(r.due) > longer && (!ok || r.due.Before(o.Due)) {
			o, ok = Overdue{Key: key, Sequence: r.at.Sequence, Due: r.due, Waiting: len(l.waiting)}, true
		}
	}
	return o, ok
}

// Overdue is an event for which others of its order key wait.
type Overdue struct {
	Key      string
	Sequence uint64
	Due      time.Time
	Waiting  int
}
