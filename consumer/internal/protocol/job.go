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
	// Bury, if not empty, is why the event is dead-lettered without a run.
	Bury string
	// Foreign: the message is no event of this group: a copy for another one, or something that the
	// bus's server stored for itself. It is acknowledged unrun.
	Foreign bool
}

// arrived is an Arrival in this process's hands.
type arrived struct {
	Arrival
	until time.Time // by then the bus delivers it to somebody else
	renew time.Time // when to ask for more time

	heldUntil time.Time // for so long the store answers Held because of this process itself
	ownClaim  bool      // the row may still be claimed by this process, which does not know how it ended
	orphan    bool      // its cursor is gone
	excused   int       // arrivals that this process knows to have been no attempts
}

// attempts are the arrivals before this one that may have been attempts.
func (a *arrived) attempts() int { return max(0, a.Delivery.Arrivals-1-a.excused) }

// size is what a delivery takes of memory, more or less.
func (a *arrived) size() int {
	n := 256 + len(a.Delivery.Event.Data)
	for name, values := range a.Delivery.Event.Headers {
		n += len(name)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

func (a *arrived) stale(now time.Time) bool { return a.orphan || !now.Before(a.until) }

type phase uint8

const (
	waiting  phase = iota // for its order key; holds no slot and no claim
	queued                // to be claimed, or to be asked again
	claiming              // asked
	ready                 // claimed, waiting for a slot
	starting              // has a slot, waits for limit and gate
	running
	settling // ended; the store is to hear of it
	burying  // its dead letter is to be stored
	zombie   // settled, yet its handler has not returned
	ended
	phases // how many there are
)

// Job is what a process has to do about one key: the claim, the run and its outcome, for all copies
// that it holds.
type Job struct {
	// Cancel is the driver's: how it ends the context of the run.
	Cancel func(cause error)

	key    dedupe.Key
	hash   []byte
	order  string
	bury   string
	copies []arrived // the first is what it runs for
	place  uint64    // in its lane: the lowest sequence of its copies

	phase   phase
	came    time.Time // when the job began
	since   time.Time // when the phase began
	suspect bool      // a claim of this key ended in a crash before

	nonce   string // of the request, once it was sent; then it is only repeated
	claim   dedupe.Claim
	claimed time.Time // when the claim was answered, for its age
	leased  time.Time // what the lease counts from
	expires time.Time // when the lease is over, by our own clock

	uncertain bool // a request for the claim got no answer
	extending bool
	lost      bool // superseded: send nothing
	rowless   bool // the store refuses the key: a letter is all there is
	exposed   bool // it has started, and is not settled
	cancelled error
	requeue   bool      // once it is given back, claim it again
	limited   time.Time // when it was told of the run limit
	stuck     bool      // its handler did not return at the run limit
	ending    ending
	asked     bool // the store was asked to settle it
	counted   bool // the claim's attempts include the last run
	verdict   Verdict
	proven    time.Time // what the pace knew of successes when the run began
	ran       bool      // took is how long
	took      time.Duration

	prev, next *Job
}

// ending is how the store is told that a claim ends.
type ending struct {
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
	if j.counted {
		return j.claim.Attempts
	}
	return j.claim.Attempts + 1
}

// Token grows with every takeover of the key.
func (j *Job) Token() uint64 { return j.claim.Token }

// Claim is what the job holds, with what is left of its lease.
func (j *Job) Claim(now time.Time) dedupe.Claim {
	c := j.claim
	c.HeldFor = max(0, j.expires.Sub(now))
	return c
}

// Verdict is how the last run ended.
func (j *Job) Verdict() Verdict { return j.verdict }

// Took is how long the last run took; not ok: there was none.
func (j *Job) Took() (took time.Duration, ok bool) { return j.took, j.ran }

// Crashes is how many claims of the key ended by their lease alone.
func (j *Job) Crashes() int { return j.claim.Crashes }

func (j *Job) arrivals() int { return j.copies[0].Delivery.Arrivals }

func (j *Job) at() bus.Position { return j.copies[0].Delivery.At }

// heldUntil is until when the store answers Held because of this process itself.
func (j *Job) heldUntil() (t time.Time) {
	for i := range j.copies {
		if u := j.copies[i].heldUntil; u.After(t) {
			t = u
		}
	}
	return t
}

// ownClaim reports whether the row may still be claimed by this process, for what was asked before.
func (j *Job) ownClaim() bool {
	return slices.ContainsFunc(j.copies, func(a arrived) bool { return a.ownClaim })
}

// lowest is the first sequence at which one of the copies lies.
func lowest(copies []arrived) uint64 {
	first := copies[0].Delivery.At.Sequence
	for i := range copies {
		first = min(first, copies[i].Delivery.At.Sequence)
	}
	return first
}

// same reports whether a copy has the payload that the job is about.
func (j *Job) same(a *arrived) bool {
	return !dedupe.Differ(a.Hash, j.hash)
}

// roster is all jobs in the order in which they came.
type roster struct{ head, tail *Job }

func (r *roster) add(j *Job) {
	if r.tail == nil {
		r.head = j
	} else {
		r.tail.next, j.prev = j, r.tail
	}
	r.tail = j
}

func (r *roster) remove(j *Job) {
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
func (r *roster) each(f func(*Job)) {
	for j := r.head; j != nil; {
		next := j.next
		f(j)
		j = next
	}
}
