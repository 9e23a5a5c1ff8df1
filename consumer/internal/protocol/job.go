package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// phase is what a job does, or waits for. The package's documentation has a table of what leads
// from one to another.
type phase uint8

const (
	waiting  phase = iota // for its order key; holds no slot and no claim
	queued                // to be claimed
	claiming              // its claim is requested, and may be held
	ready                 // claimed, waiting for a slot
	starting              // has a slot, waits for limit and gate
	running
	settling      // its claim has ended, which the store is to be told
	deadLettering // its dead letter is to be stored
	leaked        // ended, but its handler has not returned
	ended
	phaseCount
)

// Job is what a process does about one key: the claim, the run and its outcome, for all copies that
// are in flight here.
type Job struct {
	// Cancel ends the context of the run. The driver sets and calls it.
	Cancel func(cause error)

	key              dedupe.Key
	hash             []byte
	order            string
	deadLetterReason string
	copies           []deliveryCopy       // the first is what it runs for
	orderSequence    uint64               // the lowest sequence of its copies
	refused          []*pendingRedelivery // other copies that had no room here

	phase      phase
	createdAt  time.Time
	phaseSince time.Time
	suspect    bool // a claim of this key ended in a crash before

	nonce        string // of the request, once it was sent; then it is only repeated
	claim        dedupe.Claim
	claimedAt    time.Time // when the claim was answered, for its age
	leasedAt     time.Time // what the lease counts from
	leaseExpires time.Time // when the lease is over, by our own clock

	uncertain       bool // a request for the claim, or to renew it, was not answered
	renewing        bool
	superseded      bool // the claim is another's: the delivery must not be settled
	keyRefused      bool // the store refuses the key: the event has a letter and no row
	letterTried     bool // its letter may have been published before
	exposed         bool // its handler was begun, and the store has not settled it
	cancelled       error
	claimAgain      bool      // once it is released
	limitReachedAt  time.Time // when it was cancelled for that
	stuck           bool      // its handler did not return at the run limit
	ending          claimEnding
	settlementSent  bool
	attemptCounted  bool // the claim's attempts include the last run
	verdict         Verdict
	provenAtStart   time.Time // what the pace knew of successes when the run began
	beganAfterShuts int       // how often the gates had shut when the run began
	hasRun          bool      // took is how long
	took            time.Duration

	prev, next *Job
}

// claimEnding is how the store is told that a claim ends.
type claimEnding struct {
	outcome        dedupe.Outcome
	after          time.Duration
	reason, letter string
	counted        bool            // given up for a run that failed
	attempt        *dedupe.Attempt // the run that failed; nil: it is not the end of one
}

// Event is what the handler is called with.
func (j *Job) Event() *bus.Event { return &j.copies[0].Delivery.Event }

// Copied reports whether the event was published once more on purpose.
func (j *Job) Copied() bool { return j.copies[0].Copied }

// Original is the position of the event that it runs a copy of, or of its own delivery.
func (j *Job) Original() bus.Position { return j.copies[0].Original }

// Key is what the store knows the event by.
func (j *Job) Key() dedupe.Key { return j.key }

// Attempt is the number of this run, 1 being the first. It stays the same while the event is
// dead-lettered.
func (j *Job) Attempt() int {
	if j.attemptCounted {
		return j.claim.Attempts
	}
	return j.claim.Attempts + 1
}

// Token grows with every takeover of the key.
func (j *Job) Token() uint64 { return j.claim.Token }

// Claim returns what the job holds, with the rest of its lease.
func (j *Job) Claim(now time.Time) dedupe.Claim {
	c := j.claim
	c.HeldFor = max(0, j.leaseExpires.Sub(now))
	return c
}

// Verdict is how the last run ended.
func (j *Job) Verdict() Verdict { return j.verdict }

// Took is how long the last run took. ok is false if there was none.
func (j *Job) Took() (took time.Duration, ok bool) { return j.took, j.hasRun }

// DeadLetterReason is why the event is given up; empty while it is not.
func (j *Job) DeadLetterReason() string { return cmp.Or(j.claim.Reason, j.ending.reason) }

// Crashes is how many claims of the key ended by their lease alone.
func (j *Job) Crashes() int { return j.claim.Crashes }

func (j *Job) arrivalCount() int { return j.copies[0].Delivery.Arrivals }

// Position is that of the delivery that it runs for.
func (j *Job) Position() bus.Position { return j.position() }

func (j *Job) position() bus.Position { return j.copies[0].Delivery.At }

// queueSequence is where the job lies in its key queue.
func (j *Job) queueSequence() uint64 { return j.orderSequence }

// heldHereUntil is until when the store answers Held because of this process itself.
func (j *Job) heldHereUntil() (t time.Time) {
	for i := range j.copies {
		if u := j.copies[i].heldUntil; u.After(t) {
			t = u
		}
	}
	return t
}

// mayHoldClaim reports whether the row may be claimed by this process for an earlier request.
func (j *Job) mayHoldClaim() bool {
	return slices.ContainsFunc(j.copies, func(c deliveryCopy) bool { return c.mayHoldClaim })
}

// mayClaimLater reports whether the store may still do what it was asked for: a claim that is given
// up here may be won, or its lease last longer, for nobody.
func (j *Job) mayClaimLater() bool { return j.uncertain || j.renewing }

// hasPayloadOf reports whether a copy has the payload that the job is about.
func (j *Job) hasPayloadOf(c *deliveryCopy) bool { return !dedupe.Differ(c.Hash, j.hash) }

// maybeClaimed reports whether the job has a claim or may have one, or what it did is not settled.
func (j *Job) maybeClaimed() bool { return j.phase >= claiming && j.phase <= deadLettering }

// mayStillRun reports whether the job has a claim or may have one, and its run has not returned.
func (j *Job) mayStillRun() bool { return j.phase >= claiming && j.phase <= running }

// jobTable holds the jobs of a process by key and in the order in which they began, and counts
// those of each phase.
type jobTable struct {
	byKey    map[dedupe.Key]*Job
	ring     Job // its next is the first job, its prev the last
	count    [phaseCount]int
	suspects [phaseCount]int // of count, those whose claim ended in a crash before
}

// initEmpty makes the table one without jobs. It is not to be copied from then on.
func (t *jobTable) initEmpty() {
	t.byKey = make(map[dedupe.Key]*Job)
	t.ring.prev, t.ring.next = &t.ring, &t.ring
}

// add takes in a job that waits.
func (t *jobTable) add(j *Job) {
	t.byKey[j.key] = j
	j.prev, j.next = t.ring.prev, &t.ring
	j.prev.next, t.ring.prev = j, j
	t.countJob(j, 1)
}

// remove ends a job.
func (t *jobTable) remove(j *Job) {
	t.countJob(j, -1)
	j.phase = ended
	if t.byKey[j.key] == j {
		delete(t.byKey, j.key)
	}
	j.prev.next, j.next.prev = j.next, j.prev
	j.prev, j.next = nil, nil
}

// mayHaveClaimed reports whether a job is at work on a key that may hold its claim.
func (t *jobTable) mayHaveClaimed(key dedupe.Key) bool {
	j := t.byKey[key]
	return j != nil && j.maybeClaimed()
}

// isLeaked reports whether the handler of a job that has ended has not returned: nothing can be
// done about the key here meanwhile.
func (t *jobTable) isLeaked(key dedupe.Key) bool {
	j := t.byKey[key]
	return j != nil && j.phase == leaked
}

// each calls f for every job. f may end the job that it is called for, and no other.
func (t *jobTable) each(f func(*Job)) {
	for j := t.ring.next; j != nil && j != &t.ring; {
		next := j.next
		f(j)
		j = next
	}
}

func (t *jobTable) enterPhase(now time.Time, j *Job, p phase) {
	t.countJob(j, -1)
	j.phase, j.phaseSince = p, now
	t.countJob(j, 1)
}

func (t *jobTable) setSuspect(j *Job, suspect bool) {
	t.countJob(j, -1)
	j.suspect = suspect
	t.countJob(j, 1)
}

func (t *jobTable) countJob(j *Job, n int) {
	t.count[j.phase] += n
	if j.suspect {
		t.suspects[j.phase] += n
	}
}

// notBegun is how many jobs are to be claimed, or to be run.
func (t *jobTable) notBegun() int { return t.count[queued] + t.count[claiming] + t.count[ready] }

// countClaims is how many jobs of those that are counted hold a claim or may hold one, settled ones
// excluded.
func countClaims(count *[phaseCount]int) int {
	n := 0
	for p := claiming; p <= deadLettering; p++ {
		n += count[p]
	}
	return n
}
