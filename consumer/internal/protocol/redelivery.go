package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/backoff"
)

// pendingRedelivery is an event that this process nacked, and that the bus is to redeliver. It is
// expected until the event was settled, is seen with another owner, or is gone from the bus. No
// clock ends that: a clock also runs while nothing can be delivered. Until then nothing later of
// its order key starts here.
type pendingRedelivery struct {
	arrival   Arrival // its Delivery is nil where there was no room to keep the data
	key       dedupe.Key
	lookupKey dedupe.Key // what the store is asked about
	order     string
	at        bus.Position
	due       time.Time // the bus redelivers it then, at the earliest
	size      int       // of the data that is kept

	held      *ownHold
	uncounted int // arrivals that were no attempts

	stream     string // the incarnation of the stream that the cursor reads
	belowFloor bool   // the bus counts it as settled, and will not redeliver it
	lookAt     time.Time
	lookups    int
	over       bool
}

// ownHold is why the store may answer Held because of this process itself, whichever copy of an
// event it is asked about. Its zero value is no reason.
type ownHold struct {
	until    time.Time // until then it does
	mayClaim bool      // the row may be claimed by this process, whether or not the lease is over
	copies   int       // of the event that are expected
}

// merge adds the reasons of another hold on the same key.
func (h *ownHold) merge(until time.Time, mayClaim bool) {
	if until.After(h.until) {
		h.until = until
	}
	h.mayClaim = h.mayClaim || mayClaim
}

// explains reports whether an answer of Held to who asked then may be about this process itself.
func (h *ownHold) explains(asked time.Time) bool { return h.mayClaim || asked.Before(h.until) }

// settledOrElsewhere reports whether what the store knew when it was asked ends the wait for a
// redelivery.
func (m *Machine) settledOrElsewhere(r *pendingRedelivery, known dedupe.Record, asked time.Time) bool {
	switch known.State {
	case dedupe.Done, dedupe.Dead:
		return true
	case dedupe.Held:
		return !m.waitsForOthers() && !r.held.explains(asked) && !m.isAtWorkOn(r)
	default:
		return false
	}
}

// isAtWorkOn reports whether a job has or may have the claim of a redelivery's event: then what the
// store knows of it now says nothing.
func (m *Machine) isAtWorkOn(r *pendingRedelivery) bool {
	return m.jobs.mayHaveClaimed(r.key) || m.jobs.mayHaveClaimed(r.lookupKey)
}

func (r *pendingRedelivery) queueSequence() uint64 { return r.at.Sequence }

// compareRedeliveries puts redeliveries in the order of their positions.
func compareRedeliveries(a, b *pendingRedelivery) int {
	return cmp.Or(cmp.Compare(a.at.Sequence, b.at.Sequence), a.at.Stored.Compare(b.at.Stored))
}

// eventPlace is a position without the incarnation of its stream: a stream that was restored has
// another one.
type eventPlace struct {
	sequence uint64
	stored   int64
}

func placeOf(at bus.Position) eventPlace { return eventPlace{at.Sequence, at.Stored.UnixNano()} }

// pendingRedeliveries holds the redeliveries that are expected.
type pendingRedeliveries struct {
	byPlace   map[eventPlace]*pendingRedelivery
	holds     map[dedupe.Key]*ownHold // of each key that is expected
	dropped   map[dedupe.Key]*ownHold // of keys whose only copy that was known is gone, without its data
	keyQueues keyQueues               // what the redeliveries hold up
	keptBytes int                     // of data

	lookingUp     bool // a round of look-ups is under way
	nextLookup    time.Time
	cursorRebuilt time.Time
}

// add expects a redelivery. Its data is kept if it takes no more than maxBytes together with that
// of others.
func (p *pendingRedeliveries) add(r *pendingRedelivery, size, maxBytes int) {
	if p.keptBytes+size <= maxBytes {
		r.size = size
		p.keptBytes += size
	} else {
		r.arrival.Delivery = nil
	}
	p.removeAt(r.at)
	p.byPlace[placeOf(r.at)] = r
	p.shareHold(r)
	if r.order != "" {
		p.keyQueues.of(r.order).expected.insert(r)
	}
}

// shareHold makes what is known of a redelivery's row known of all copies of its event.
func (p *pendingRedeliveries) shareHold(r *pendingRedelivery) {
	own := r.held
	if shared := p.holds[r.key]; shared != nil {
		shared.merge(own.until, own.mayClaim)
		r.held = shared
	}
	r.held.copies++
	p.holds[r.key] = r.held
}

// remove stops expecting a redelivery.
func (p *pendingRedeliveries) remove(r *pendingRedelivery) {
	delete(p.byPlace, placeOf(r.at))
	if r.held.copies--; r.held.copies == 0 {
		delete(p.holds, r.key)
	}
	p.keptBytes -= r.size
	r.over = true
	p.keyQueues.clearRedelivery(r)
}

func (p *pendingRedeliveries) removeAt(at bus.Position) {
	if r := p.byPlace[placeOf(at)]; r != nil {
		p.remove(r)
	}
}

// take ends the wait for the redelivery that has just arrived as c. What was known of its event,
// there or at another place, goes on with c.
func (p *pendingRedeliveries) take(c *deliveryCopy) {
	for _, h := range []*ownHold{p.holds[c.Key], p.dropped[c.Key]} {
		if h != nil {
			c.heldUntil, c.mayHoldClaim = h.until, h.mayClaim
		}
	}
	delete(p.dropped, c.Key)
	if r := p.byPlace[placeOf(c.Delivery.At)]; r != nil {
		c.uncounted = r.uncounted
		p.remove(r)
	}
}

// maxDroppedHolds bounds what is remembered of events that the bus has dropped: another copy of one
// is rare.
const maxDroppedHolds = 1000

// rememberHold remembers, for another copy of its event that may arrive, that the row of a
// redelivery may be claimed by this process.
func (p *pendingRedeliveries) rememberHold(r *pendingRedelivery) {
	if r.held.mayClaim && r.held.copies == 1 && len(p.dropped) < maxDroppedHolds {
		p.dropped[r.key] = r.held
	}
}

// expectFromNewCursor expects every redelivery from a new cursor. The bus does not redeliver what
// its watermark covers: most of that was settled, the rest was dropped. The store tells which.
func (p *pendingRedeliveries) expectFromNewCursor(now time.Time, w bus.Position) {
	p.cursorRebuilt = now
	for _, r := range p.byPlace {
		if r.expectFrom(w); r.belowFloor {
			r.lookAt = now
		}
	}
}

// expectFrom expects the redelivery from a cursor that goes on after a watermark.
func (r *pendingRedelivery) expectFrom(w bus.Position) {
	r.stream, r.belowFloor = w.Stream, w.Covers(r.at)
}

// toLookUp returns at most limit redeliveries that are to be looked up now. Those that hold up
// others go first.
func (p *pendingRedeliveries) toLookUp(now time.Time, limit int) []*pendingRedelivery {
	var blocking, others []*pendingRedelivery
	for _, r := range p.byPlace {
		switch {
		case now.Before(r.lookAt):
		case p.keyQueues.isBlocking(r):
			blocking = append(blocking, r)
		default:
			others = append(others, r)
		}
	}
	slices.SortFunc(blocking, compareRedeliveries)
	slices.SortFunc(others, compareRedeliveries)
	rs := slices.Concat(blocking, others)
	return rs[:min(len(rs), limit)]
}

// expectRedelivery notes that a delivery was nacked, or left unanswered.
func (m *Machine) expectRedelivery(now time.Time, c *deliveryCopy, ans *Answer) {
	if m.draining || ans.elsewhere {
		return
	}
	m.expected.add(m.redeliveryOf(now, c, ans), c.memorySize(), m.cfg.MaxBytes/2)
}

// expectRefused expects the copies that had no room beside a job and that its end does not settle:
// those with another payload, and all of them if the event is not done. Who took it from the job
// may have set it free again before they arrived.
func (m *Machine) expectRefused(j *Job, ans *Answer) {
	refused := j.refused
	j.refused = nil
	if m.draining {
		return
	}
	for _, r := range refused {
		settled := ans.Kind == Ack && !dedupe.Differ(r.arrival.Hash, j.hash)
		if settled || m.expected.byPlace[placeOf(r.at)] != nil {
			continue
		}
		r.expectFrom(m.settled.watermark)
		r.held.merge(ans.heldUntil, ans.mayHoldClaim || j.mayClaimLater())
		m.expected.add(r, 0, 0)
	}
}

// redeliveryOf returns what is expected of a delivery that was nacked, or left unanswered.
func (m *Machine) redeliveryOf(now time.Time, c *deliveryCopy, ans *Answer) *pendingRedelivery {
	r := &pendingRedelivery{
		arrival: c.Arrival, key: c.Key, lookupKey: c.Key, order: c.Order, at: c.Delivery.At, stream: c.Delivery.At.Stream,
		due: now.Add(ans.After), uncounted: c.uncounted,
		held: &ownHold{until: ans.heldUntil, mayClaim: ans.mayHoldClaim || (ans.Job != nil && ans.Job.mayClaimLater())},
	}
	r.held.merge(c.heldUntil, c.mayHoldClaim)
	r.lookAt = r.due.Add(m.cfg.firstLookup())
	if c.cursorGone { // it is the present cursor that redelivers it, or does not
		if r.expectFrom(m.settled.watermark); r.belowFloor {
			r.lookAt = r.due
		}
	}
	if ans.Outcome != Failed {
		r.uncounted++
	}
	return r
}

// clearRedelivery stops expecting a redelivery, and starts what waited for it.
func (m *Machine) clearRedelivery(now time.Time, r *pendingRedelivery) {
	m.expected.remove(r)
	m.advanceKeyQueue(now, r.order)
}

// Lookup asks what became of an event that was nacked here and not redelivered here since.
type Lookup struct {
	Key dedupe.Key
	At  bus.Position
	// Overdue is set where the event should have been redelivered long ago, so the bus may have
	// dropped it.
	Overdue bool

	redelivery *pendingRedelivery
	belowFloor bool // the bus had passed it before
}

// Gone is an event that nobody settled, and that the bus does not redeliver.
type Gone struct {
	Lookup

	// Kept reports whether its data is still in this process. It is dead-lettered then, unless the
	// event turns out to be done.
	Kept bool
}

// Lookups takes what is to be looked up now. The driver asks the bus first whether it still has
// what is overdue, then the store what it knows of all of them: in this order an event that another
// process settles meanwhile, and that the bus then deletes, is seen as settled.
func (m *Machine) Lookups(now time.Time) Batch[Lookup] {
	out := Batch[Lookup]{sent: now}
	if !m.mayLookUp(now) {
		return out
	}
	m.expected.nextLookup = now.Add(lookupInterval)
	for _, r := range m.expected.toLookUp(now, m.cfg.MaxBatch) {
		out.Items = append(out.Items, Lookup{
			Key: r.lookupKey, At: r.at, Overdue: now.Sub(r.due) >= m.cfg.AckWait, redelivery: r, belowFloor: r.belowFloor,
		})
	}
	m.expected.lookingUp = !out.Empty()
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
func (m *Machine) LookedUp(now time.Time, b Batch[Lookup], known []dedupe.Record, there []bool, err error) []Gone {
	m.expected.lookingUp = false
	var gone []Gone
	for i, l := range b.Items {
		r := l.redelivery
		if r.over {
			continue
		}
		r.lookups++
		r.lookAt = now.Add(backoff.Doubled(m.cfg.firstLookup(), r.lookups-1, maxShortBackoff))
		switch {
		case err != nil:
		case r.lookupKey == r.key && dedupe.Differ(known[i].Hash, r.arrival.Hash):
			// The id is another payload's.
			r.lookupKey, r.lookAt = payloadKey(r.key, r.arrival.Hash), now
		case m.settledOrElsewhere(r, known[i], b.sent):
			m.clearRedelivery(now, r)
		case m.waitsForOthers() && known[i].State == dedupe.Held, m.isHalted(), m.isAtWorkOn(r), m.jobs.isLeaked(r.key), b.sent.Before(r.held.until), b.sent.Before(m.expected.cursorRebuilt):
			// Next time.
		case l.belowFloor, l.Overdue && there != nil && !there[i]:
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
		m.expected.rememberHold(r)
		m.clearRedelivery(now, r)
		return
	}
	m.expected.remove(r)
	c := deliveryCopy{Arrival: r.arrival, cursorGone: true, heldUntil: r.held.until, mayHoldClaim: r.held.mayClaim}
	m.heldBytes += c.memorySize()
	if c.DeadLetterReason == "" {
		c.DeadLetterReason = ReasonDropped
	}
	m.admitCopy(now, c)
	m.advanceKeyQueue(now, r.order)
}
