package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
)

// AnswerKind is what the bus is told about a delivery.
type AnswerKind uint8

const (
	// None sends nothing, because the delivery may be another process's by now.
	None AnswerKind = iota
	// Ack says that the group is done with it.
	Ack
	// Nak has it redelivered after Answer.After.
	Nak
	// Progress extends its ack wait.
	Progress
)

// Outcome is how a delivery ended, for observers and logs.
type Outcome uint8

const (
	// Handled says that the handler succeeded, and that the mark is stored.
	Handled Outcome = iota
	// Duplicate says that the event was done before, or lies below the watermark.
	Duplicate
	// Skipped says that it is no event of this group.
	Skipped
	// Failed says that the run failed and will be repeated.
	Failed
	// Snoozed says that the handler asked for a later run.
	Snoozed
	// Deferred says that the run met trouble that may not be the event's own, and was no attempt.
	Deferred
	// Dead says that the dead letter is stored.
	Dead
	// DeadLetterPending says that the dead letter could not be stored; the event is redelivered for
	// that.
	DeadLetterPending
	// Held says that another copy is being worked on, or that the event is not due yet.
	Held
	// GivenBack says that the event never ran.
	GivenBack
	// Lost says that another owner has the event.
	Lost
	// Unresolved says that nobody knows whether its transaction was committed. Its claim is left to
	// its lease, and the mark shows the next owner what happened.
	Unresolved
	// Working is no end: the ack wait is extended.
	Working
)

// Answer is one thing to tell the bus.
type Answer struct {
	Delivery *bus.Delivery
	Kind     AnswerKind
	After    time.Duration
	Outcome  Outcome
	// Job is nil for what never became one.
	Job *Job

	elsewhere    bool      // another owner or another delivery here has the event
	heldUntil    time.Time // until then the store answers Held because of this process itself
	mayHoldClaim bool      // the row may be claimed by this process
}

// Answers takes what the bus is to be told now. None of it is repeated: what gets lost costs a
// redelivery.
func (m *Machine) Answers() []Answer {
	out := m.answers
	m.answers = nil
	return out
}

// answerDelivery ends a delivery, or extends it. One whose ack wait is over gets an ack or no
// answer, for it may be another process's by now. One whose cursor is gone gets none, for it may be
// another event.
func (m *Machine) answerDelivery(now time.Time, j *Job, c *deliveryCopy, ans Answer) {
	done := ans.Kind == Ack
	if c.cursorGone || (ans.Kind == Nak && c.maybeForeign(now)) {
		ans.Kind = None
	}
	ans.Delivery, ans.Job = c.Delivery, j
	m.answers = append(m.answers, ans)
	if ans.Kind == Progress {
		return
	}
	m.heldBytes -= c.memorySize()
	m.stats.countOutcome(ans.Outcome)
	if !done {
		m.expectRedelivery(now, c, &ans)
		return
	}
	if ans.Kind == Ack {
		m.progress.recordSettled(c.Delivery.At)
	}
	m.fetches.finished.addOne(now)
	delete(m.setbacks, c.Key)
	m.expected.removeAt(c.Delivery.At) // nacked before, by another delivery from there
}

func (s *Stats) countOutcome(o Outcome) {
	switch o {
	case Handled:
		s.Handled++
	case Duplicate:
		s.Duplicates++
	case Skipped:
		s.Skipped++
	case Failed:
		s.Failed++
	case Deferred:
		s.Deferred++
	case Dead:
		s.Dead++
	case Held:
		s.Held++
	case GivenBack, Snoozed, DeadLetterPending:
		s.GivenBack++
	case Lost, Unresolved:
		s.Lost++
	case Working:
	}
}

// finishJob ends a job. Its copies get the answer; those with another payload are admitted again,
// and the next event of its order key starts.
func (m *Machine) finishJob(now time.Time, j *Job, ans Answer) {
	others := m.splitByPayload(j)
	m.removeJob(now, j)
	for i := range j.copies {
		if i > 0 && ans.Outcome == Handled {
			ans.Outcome = Duplicate
		}
		m.answerDelivery(now, j, &j.copies[i], ans)
	}
	m.waitingCount -= len(j.copies) - 1
	j.copies = j.copies[:1]
	m.admitAgain(now, j, others)
}

// disownJob ends a job whose claim is another's (Lost), or of which only the store knows how it
// ended (Unresolved). A consumer that may have lost a delivery must not settle it. The copies that
// waited are admitted again.
func (m *Machine) disownJob(now time.Time, j *Job, o Outcome) {
	ans := Answer{Outcome: o, elsewhere: o == Lost}
	if o == Unresolved {
		ans.heldUntil, ans.mayHoldClaim = m.latestLeaseEnd(now, j), true
	}
	first, others := &j.copies[0], slices.Clone(j.copies[1:])
	m.waitingCount -= len(others)
	j.copies = j.copies[:1]
	m.removeJob(now, j)
	m.answerDelivery(now, j, first, ans)
	m.admitAgain(now, j, others)
}

// latestLeaseEnd is when a lease that was requested until now has ended in the store at the latest.
func (m *Machine) latestLeaseEnd(now time.Time, j *Job) time.Time {
	end := now.Add(m.cfg.Lease)
	if j.leaseExpires.After(end) {
		end = j.leaseExpires
	}
	return end.Add(m.cfg.Lease / 100)
}

// admitAgain admits the copies that waited for a job and are not settled by its end. Only then does
// the next event of its order key start.
func (m *Machine) admitAgain(now time.Time, j *Job, others []deliveryCopy) {
	for _, c := range others {
		m.admitCopy(now, c)
	}
	m.leaveKeyQueue(now, j)
}

// splitByPayload takes the copies with another payload out of a job.
func (m *Machine) splitByPayload(j *Job) (others []deliveryCopy) {
	if len(j.copies) == 1 {
		return nil
	}
	kept := j.copies[:1]
	for _, c := range j.copies[1:] {
		if j.hasPayloadOf(&c) {
			kept = append(kept, c)
		} else {
			others = append(others, c)
		}
	}
	j.copies = kept
	m.waitingCount -= len(others)
	return others
}

// removeJob forgets a job. One whose handler has not returned stays known, as leaked: its key must
// not run twice here.
func (m *Machine) removeJob(now time.Time, j *Job) {
	m.endExposure(j)
	if j.stuck {
		m.jobs.enterPhase(now, j, leaked)
		return
	}
	m.stopWaiting(j)
	m.jobs.remove(j)
}

// settledProgress is the group's watermark and what this process saw settled above it. The floor
// is always the bus's own. No process can compute it, for each sees only its share of the
// deliveries.
type settledProgress struct {
	watermark bus.Position
	stream    string
	seen      []eventPlace
}

// maxSettledEvents bounds what is remembered until the watermark advances. Beyond it every other
// event is forgotten, which only makes the watermark a little lower.
const maxSettledEvents = 4096

func (p *settledProgress) recordSettled(at bus.Position) {
	if at.Stream != p.stream {
		p.stream, p.seen = at.Stream, p.seen[:0]
	}
	if len(p.seen) == maxSettledEvents {
		for i := range maxSettledEvents / 2 {
			p.seen[i] = p.seen[2*i+1]
		}
		p.seen = p.seen[:maxSettledEvents/2]
	}
	p.seen = append(p.seen, placeOf(at))
}

// SettledUpTo takes the bus's floor, and returns the events at or below it that this process
// saw settled and that lie above the watermark, by sequence. The last of them is the watermark
// to store: an event whose sequence and stored time are known. If there is none, there is
// nothing to store.
func (m *Machine) SettledUpTo(stream string, floor uint64) []bus.Position {
	p := &m.progress
	if stream != p.stream {
		return nil
	}
	above := uint64(0)
	if p.watermark.Stream == stream {
		above = p.watermark.Sequence
	}
	var settled []bus.Position
	for _, s := range p.seen {
		if s.sequence > above && s.sequence <= floor {
			settled = append(settled, bus.Position{Stream: stream, Sequence: s.sequence, Stored: time.Unix(0, s.stored).UTC()})
		}
	}
	slices.SortStableFunc(settled, func(a, b bus.Position) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return settled
}

// WatermarkStored notes that the store has kept a watermark.
func (m *Machine) WatermarkStored(w bus.Position) {
	p := &m.progress
	p.watermark = w
	p.seen = slices.DeleteFunc(p.seen, func(s eventPlace) bool { return p.stream == w.Stream && s.sequence <= w.Sequence })
}
