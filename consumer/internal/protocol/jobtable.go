package protocol

import (
	"time"

	"github.com/onceish/onceish/dedupe"
)

// jobTable holds the jobs of a process by key and in the order in which they began, and counts
// those of each phase.
type jobTable struct {
	byKey       map[dedupe.Key]*Job
	first, last *Job
	count       [phaseCount]int
	suspects    [phaseCount]int // of count, those whose claim ended in a crash before
}

// add takes in a job that waits.
func (t *jobTable) add(j *Job) {
	t.byKey[j.key] = j
	if t.last == nil {
		t.first = j
	} else {
		t.last.next, j.prev = j, t.last
	}
	t.last = j
	t.count[waiting]++
}

// remove ends a job.
func (t *jobTable) remove(j *Job) {
	t.leavePhase(j)
	j.phase = ended
	if t.byKey[j.key] == j {
		delete(t.byKey, j.key)
	}
	if j.prev == nil {
		t.first = j.next
	} else {
		j.prev.next = j.next
	}
	if j.next == nil {
		t.last = j.prev
	} else {
		j.next.prev = j.prev
	}
	j.prev, j.next = nil, nil
}

// each calls f for every job. f may end the job that it is called for, and no other.
func (t *jobTable) each(f func(*Job)) {
	for j := t.first; j != nil; {
		next := j.next
		f(j)
		j = next
	}
}

func (t *jobTable) enterPhase(now time.Time, j *Job, p phase) {
	t.leavePhase(j)
	j.phase, j.phaseSince = p, now
	t.count[p]++
	if j.suspect {
		t.suspects[p]++
	}
}

func (t *jobTable) leavePhase(j *Job) {
	t.count[j.phase]--
	if j.suspect {
		t.suspects[j.phase]--
	}
}

func (t *jobTable) markSuspect(j *Job) {
	j.suspect = true
	t.suspects[j.phase]++
}

func (t *jobTable) clearSuspect(j *Job) {
	if j.suspect {
		j.suspect = false
		t.suspects[j.phase]--
	}
}

// notBegun is how many jobs are to be claimed, or to be run.
func (t *jobTable) notBegun() int { return t.count[queued] + t.count[claiming] + t.count[ready] }

// maybeClaimed is how many jobs hold a claim or may hold one, settled ones excluded.
func (t *jobTable) maybeClaimed() int { return countClaims(&t.count) }

// suspectsMaybeClaimed is how many of them are suspects.
func (t *jobTable) suspectsMaybeClaimed() int { return countClaims(&t.suspects) }

func countClaims(count *[phaseCount]int) int {
	n := 0
	for p := claiming; p <= deadLettering; p++ {
		n += count[p]
	}
	return n
}
