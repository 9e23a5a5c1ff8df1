package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// redelivery is an event that this process nacked, and that the bus is to deliver again. It is
// expected until the event was settled, is seen with another owner, or is gone from the bus: no
// clock ends it, for a clock also runs while nothing can be delivered. Until then nothing later of
// its order key starts here.
type redelivery struct {
	arrival Arrival // its Delivery is nil where there was no room to keep the data
	key     dedupe.Key
	asked   dedupe.Key // what it is looked up by
	order   string
	at      bus.Position
	due     time.Time // the bus delivers it then, at the earliest
	held    time.Time // until then the store answers Held because of this process itself
	claimed bool      // the row may still be claimed by this process: whether by another, only its end or a claim can show
	size    int       // of the data that is kept
	excused int       // arrivals that were no attempts

	stream string    // the incarnation of the stream that the cursor reads
	passed bool      // the bus counts it as settled, and will not deliver it again
	lookAt time.Time // when to look next what became of it
	looks  int
	over   bool
}

// place is where an event lies. The incarnation of its stream is no part of it: a stream that was
// restored has another.
type place struct {
	sequence uint64
	stored   int64
}

func placeOf(at bus.Position) place { return place{at.Sequence, at.Stored.UnixNano()} }

// redeliveries are the events that are expected back.
type redeliveries struct {
	byPlace map[place]*redelivery
	byKey   map[dedupe.Key]*redelivery // the latest of each key
	kept    int                        // bytes of data
}

// expect notes that an event was nacked.
func (m *Machine) expect(now time.Time, a *arrived, ans *Answer) {
	if m.draining || ans.elsewhere {
		return
	}
	at := a.Delivery.At
	r := &redelivery{key: a.Key, asked: a.Key, order: a.Order, at: at, due: now.Add(ans.After), held: ans.heldUntil, arrival: a.Arrival}
	r.claimed = ans.ownClaim || a.ownClaim || (ans.Job != nil && ans.Job.uncertain)
	if a.heldUntil.After(r.held) {
		r.held = a.heldUntil
	}
	if r.excused = a.excused; ans.Outcome != Failed {
		r.excused++
	}
	if known := m.expected.byKey[r.key]; known != nil && known.held.After(r.held) {
		r.held, r.claimed = known.held, known.claimed
	}
	r.stream = at.Stream
	r.lookAt = r.due.Add(m.cfg.lookAfter())
	if size := a.size(); m.expected.kept+size <= m.cfg.MaxBytes/2 {
		r.size = size
		m.expected.kept += size
	} else {
		r.arrival.Delivery = nil
	}
	if old := m.expected.byPlace[placeOf(at)]; old != nil {
		m.forget(old)
	}
	m.expected.byPlace[placeOf(at)], m.expected.byKey[r.key] = r, r
	if r.order != "" {
		m.lane(r.order).expect(r)
	}
}

// redelivered takes what was expected at the place of a delivery off the list. What was known of
// the event, there or at another place, goes on with the delivery.
func (m *Machine) redelivered(a *arrived) {
	if r := m.expected.byKey[a.Key]; r != nil {
		a.heldUntil, a.ownClaim = r.held, r.claimed
	}
	if r := m.expected.byPlace[placeOf(a.Delivery.At)]; r != nil {
		if r.key == a.Key && r.held.After(a.heldUntil) {
			a.heldUntil, a.ownClaim = r.held, r.claimed
		}
		a.excused = r.excused
		m.forget(r)
	}
}

// forget stops expecting an event.
func (m *Machine) forget(r *redelivery) {
	delete(m.expected.byPlace, placeOf(r.at))
	if m.expected.byKey[r.key] == r {
		delete(m.expected.byKey, r.key)
	}
	m.expected.kept -= r.size
	r.over = true
	if l := m.lanes[r.order]; l != nil && r.order != "" {
		l.forget(r)
	}
}

// expectFromNewCursor has everything expected from a new cursor. What its watermark covers is
// not delivered again. Most of it was settled; the bus also passes what it has dropped. The
// store tells which.
func (m *Machine) expectFromNewCursor(now time.Time, w bus.Position) {
	m.rebuilt = now
	for _, r := range m.expected.byPlace {
		r.stream = w.Stream
		if r.passed = w.Covers(r.at); r.passed {
			r.lookAt = now
		}
	}
}

// forgetAndPass stops expecting an event, and lets go ahead what waited for it.
func (m *Machine) forgetAndPass(now time.Time, r *redelivery) {
	m.forget(r)
	m.passOn(now, r.order)
}

// Passed takes the bus's own floor: all at or below is settled by its count, and is not delivered
// again. What was nacked here and was settled by nobody is lost there: a stream was restored, or
// somebody moved the cursor. A floor that was asked for before the cursor was rebuilt says nothing
// of the new one.
func (m *Machine) Passed(asked time.Time, stream string, floor uint64) {
	if asked.Before(m.rebuilt) {
		return
	}
	for _, r := range m.expected.byPlace {
		if r.stream == stream && r.at.Sequence <= floor && !r.passed {
			r.passed, r.lookAt = true, asked
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
	asked []asked
	sent  time.Time
}

// asked is a redelivery that is looked up, and whether the bus had passed it before.
type asked struct {
	*redelivery

	passed bool
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
	if !m.mayLook(now) {
		return Lookups{}
	}
	m.lookNext = now.Add(lookEvery)
	rs := m.overdue(now)
	if len(rs) == 0 {
		return Lookups{}
	}
	m.looking = true
	out := Lookups{Items: make([]Lookup, len(rs)), asked: make([]asked, len(rs)), sent: now}
	for i, r := range rs {
		out.asked[i] = asked{redelivery: r, passed: r.passed}
		out.Items[i] = Lookup{Key: r.asked, At: r.at, Overdue: now.Sub(r.due) >= m.cfg.AckWait}
	}
	return out
}

// earlier puts redeliveries in the order of their places.
func earlier(a, b *redelivery) int {
	return cmp.Or(cmp.Compare(a.at.Sequence, b.at.Sequence), a.at.Stored.Compare(b.at.Stored))
}

// mayLook reports whether it is time to see what is to be looked up.
func (m *Machine) mayLook(now time.Time) bool {
	return len(m.expected.byPlace) > 0 && !m.looking && !m.draining && !now.Before(m.lookNext)
}

// overdue returns at most a batch of redeliveries that are to be looked up.
func (m *Machine) overdue(now time.Time) []*redelivery {
	var blocking, rest []*redelivery
	for _, r := range m.expected.byPlace {
		if now.Before(r.lookAt) {
			continue
		}
		if l := m.lanes[r.order]; r.order != "" && l != nil && len(l.waiting) > 0 && l.expected[0] == r {
			blocking = append(blocking, r)
		} else {
			rest = append(rest, r)
		}
	}
	slices.SortFunc(blocking, earlier)
	slices.SortFunc(rest, earlier)
	rs := slices.Concat(blocking, rest)
	return rs[:min(len(rs), m.cfg.MaxBatch)]
}

// LookedUp takes the answers: what the store knows, and whether the bus still has each event, of
// those that are overdue; a nil there says that the bus cannot tell. It returns what is gone and
// was never settled.
func (m *Machine) LookedUp(now time.Time, b Lookups, known []dedupe.Record, there []bool, err error) []Gone {
	m.looking = false
	var gone []Gone
	for i, a := range b.asked {
		r := a.redelivery
		if r.over {
			continue
		}
		r.looks++
		r.lookAt = now.Add(doubled(m.cfg.lookAfter(), r.looks-1, retryMax))
		switch {
		case err != nil:
		case r.asked == r.key && dedupe.Differ(known[i].Hash, r.arrival.Hash):
			r.asked, r.lookAt = payloadKey(r.key, r.arrival.Hash), now // the id is another payload's
		case r.settledOrElsewhere(known[i], b.sent):
			m.forgetAndPass(now, r)
		case m.halted(), b.sent.Before(r.held), b.sent.Before(m.rebuilt): // the next time
		case a.passed, b.Items[i].Overdue && there != nil && !there[i]:
			gone = append(gone, Gone{Lookup: Lookup{Key: r.key, At: r.at}, Kept: r.arrival.Delivery != nil})
			m.dropped(now, r)
		}
	}
	return gone
}

// settledOrElsewhere reports whether what the store knew when it was asked ends the wait for
// a redelivery.
func (r *redelivery) settledOrElsewhere(known dedupe.Record, asked time.Time) bool {
	switch known.State {
	case dedupe.Done, dedupe.Dead:
		return true
	case dedupe.Held:
		return !r.claimed && !asked.Before(r.held)
	default:
		return false
	}
}

// dropped gives up an event that the bus does not have any more: with its data if that is kept,
// else it is only counted.
func (m *Machine) dropped(now time.Time, r *redelivery) {
	if r.arrival.Delivery == nil {
		m.stats.Dropped++
		m.forgetAndPass(now, r)
		return
	}
	m.forget(r)
	a := arrived{Arrival: r.arrival, orphan: true, heldUntil: r.held, ownClaim: r.claimed}
	m.held += a.size()
	if a.Bury == "" {
		a.Bury = ReasonDropped
	}
	m.admit(now, a)
	m.passOn(now, r.order)
}

// Overdue tells of the order key for which events wait although the event before them is long due:
// since when, for which sequence, and how many. Not ok: none waits for longer than that.
func (m *Machine) Overdue(now time.Time, longer time.Duration) (o Overdue, ok bool) {
	for key, l := range m.lanes {
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
