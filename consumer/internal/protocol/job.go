package protocol

import (
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// Arrival is a delivery with what the caller worked out about it.
type Arrival struct {
	Delivery *bus.Delivery
	Key      dedupe.Key
	// Hash of the payload; nil: payloads are not compared.
	Hash []byte
	// Order is the key by which events are handled one after the other. Empty: no order.
	Order string
	// DeadLetterReason, if not empty, is why the event is dead-lettered without a run.
	DeadLetterReason string
	// Foreign: the message is no event of this group: a copy for another one, or something that the
	// bus's server stored for itself. It is acknowledged unrun.
	Foreign bool
}

// deliveryCopy is an Arrival in this process's hands.
type deliveryCopy struct {
	Arrival
	ackDeadline time.Time // by then the bus delivers it to somebody else
	extendAt    time.Time // when to ask for more time

	heldUntil    time.Time // for so long the store answers Held because of this process itself
	mayHoldClaim bool      // the row may still be claimed by this process, which does not know how it ended
	cursorGone   bool      // its cursor is gone
	uncounted    int       // arrivals that this process knows to have been no attempts
}

// earlierAttempts are the arrivals before this one that may have been attempts.
func (a *deliveryCopy) earlierAttempts() int { return max(0, a.Delivery.Arrivals-1-a.uncounted) }

// memorySize is what a delivery takes of memory, more or less.
func (a *deliveryCopy) memorySize() int {
	n := 256 + len(a.Delivery.Event.Data)
	for name, values := range a.Delivery.Event.Headers {
		n += len(name)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

func (a *deliveryCopy) maybeForeign(now time.Time) bool {
	return a.cursorGone || !now.Before(a.ackDeadline)
}

type phase uint8

const (
	waiting  phase = iota // for its order key; holds no slot and no claim
	queued                // to be claimed, or to be asked again
	claiming              // asked
	ready                 // claimed, waiting for a slot
	starting              // has a slot, waits for limit and gate
	running
	settling      // ended; the store is to hear of it
	deadLettering // its dead letter is to be stored
	leaked        // settled, yet its handler has not returned
	ended
	phaseCount // how many there are
)

// Job is what a process has to do about one key: the claim, the run and its outcome, for all copies
// that it holds.
type Job struct {
	// Cancel is the driver's: how it ends the context of the run.
	Cancel func(cause error)

	key              dedupe.Key
	hash             []byte
	order            string
	deadLetterReason string
	copies           []deliveryCopy // the first is what it runs for
	orderSequence    uint64         // in its lane: the lowest sequence of its copies

	phase      phase
	createdAt  time.Time // when the job began
	phaseSince time.Time // when the phase began
	suspect    bool      // a claim of this key ended in a crash before

	nonce        string // of the request, once it was sent; then it is only repeated
	claim        dedupe.Claim
	claimedAt    time.Time // when the claim was answered, for its age
	leasedAt     time.Time // what the lease counts from
	leaseExpires time.Time // when the lease is over, by our own clock

	uncertain      bool // a request for the claim got no answer
	renewing       bool
	superseded     bool // superseded: send nothing
	keyRefused     bool // the store refuses the key: a letter is all there is
	exposed        bool // it has started, and is not settled
	cancelled      error
	claimAgain     bool      // once it is given back, claim it again
	limitReachedAt time.Time // when it was told of the run limit
	stuck          bool      // its handler did not return at the run limit
	ending         claimEnding
	settlementSent bool // the store was asked to settle it
	attemptCounted bool // the claim's attempts include the last run
	verdict        Verdict
	provenAtStart  time.Time // what the pace knew of successes when the run began
	hasRun         bool      // took is how long
	took           time.Duration

	prev, next *Job
}

// claimEnding is how the store is told that a claim ends.
type claimEnding struct {
	outcome        dedupe.Outcome
	after          time.Duration
	reason, letter string
	counted        bool // given up for a run that failed
}

// Event is what the handler gets.
func (j *Job) Event() *bus.Event { return &j.copies[0].Delivery.Event }

// Key is what the store knows the event by.
func (j *Job) Key() dedupe.Key { return j.key }

// Attempt is the number of this run, 1 being the first. It stays that while the event
// is dead-lettered.
func (j *Job) Attempt() int {
	if j.attemptCounted {
		return j.claim.Attempts
	}
	return j.claim.Attempts + 1
}

// Token grows with every takeover of the key.
func (j *Job) Token() uint64 { return j.claim.Token }

// Claim is what the job holds, with what is left of its lease.
func (j *Job) Claim(now time.Time) dedupe.Claim {
	c := j.claim
	c.HeldFor = max(0, j.leaseExpires.Sub(now))
	return c
}

// Verdict is how the last run ended.
func (j *Job) Verdict() Verdict { return j.verdict }

// Took is how long the last run took; not ok: there was none.
func (j *Job) Took() (took time.Duration, ok bool) { return j.took, j.hasRun }

// Crashes is how many claims of the key ended by their lease alone.
func (j *Job) Crashes() int { return j.claim.Crashes }

func (j *Job) arrivalCount() int { return j.copies[0].Delivery.Arrivals }

func (j *Job) position() bus.Position { return j.copies[0].Delivery.At }

// heldHereUntil is until when the store answers Held because of this process itself.
func (j *Job) heldHereUntil() (t time.Time) {
	for i := range j.copies {
		if u := j.copies[i].heldUntil; u.After(t) {
			t = u
		}
	}
	return t
}

// mayHoldClaim reports whether the row may still be claimed by this process, for what was asked before.
func (j *Job) mayHoldClaim() bool {
	return slices.ContainsFunc(j.copies, func(a deliveryCopy) bool { return a.mayHoldClaim })
}

// lowestSequence is the first sequence at which one of the copies lies.
func lowestSequence(copies []deliveryCopy) uint64 {
	first := copies[0].Delivery.At.Sequence
	for i := range copies {
		first = min(first, copies[i].Delivery.At.Sequence)
	}
	return first
}

// hasPayloadOf reports whether a copy has the payload that the job is about.
func (j *Job) hasPayloadOf(a *deliveryCopy) bool {
	return !dedupe.Differ(a.Hash, j.hash)
}

// jobList is all jobs in the order in which they came.
type jobList struct{ head, tail *Job }

func (r *jobList) push(j *Job) {
	if r.tail == nil {
		r.head = j
	} else {
		r.tail.next, j.prev = j, r.tail
	}
	r.tail = j
}

func (r *jobList) remove(j *Job) {
	if j.prev == nil {
		r.head = j.next
	} else {
		j.prev.next = j.next
	}
	if j.next == nil {
		r.tail = j.prev
	} else {
		j.next.prev = j.prev
	}
	j.prev, j.next = nil, nil
}

// each calls f for every job; f may end the one it is called for, and no other.
func (r *jobList) each(f func(*Job)) {
	for j := r.head; j != nil; {
		next := j.next
		f(j)
		j = next
	}
}
