package protocol

import (
	"cmp"
	"fmt"
	"time"
)

// callQueue is work for one kind of call, taken in batches of what has accumulated. A batch whose
// call failed goes back in front, and waits a little longer each time.
type callQueue struct {
	maxBatch  int           // of a call
	nextBatch int           // of the next call: half as many after two that failed, or one that was slow; zero: most
	slowAfter time.Duration // a call that takes as long leaves too little of a lease
	minBatch  int           // a slow call is not made smaller than this: of a store that is far away, smaller ones take as long
	jobs      []*Job
	retryAt   time.Time
	failures  int
	calling   bool  // a call is under way
	err       error // of the last call; nil after one that was answered
	failedAt  time.Time
	refused   refusedJobs
}

// callError is why what there is to do cannot be done.
func (b *callQueue) callError() error {
	if b.err == nil || len(b.jobs) == 0 && !b.calling {
		return b.refused.lastRefusal()
	}
	return fmt.Errorf("does not answer: %w", b.err)
}

func (b *callQueue) push(j *Job) { b.jobs = append(b.jobs, j) }

// takeBatch removes and returns up to most jobs that fit; nil: all do.
func (b *callQueue) takeBatch(now time.Time, fits func(*Job) bool) []*Job {
	b.jobs = append(b.jobs, b.refused.takeDue(now)...)
	if len(b.jobs) == 0 || now.Before(b.retryAt) {
		return nil
	}
	b.calling = true
	most := cmp.Or(b.nextBatch, b.maxBatch)
	if fits == nil && len(b.jobs) <= most {
		out := b.jobs
		b.jobs = nil
		return out
	}
	var out []*Job
	rest := b.jobs[:0]
	for _, j := range b.jobs {
		if len(out) < most && (fits == nil || fits(j)) {
			out = append(out, j)
		} else {
			rest = append(rest, j)
		}
	}
	clear(b.jobs[len(rest):])
	b.jobs = rest
	return out
}

// recordCall notes how a call went that was sent then; what failed is to be repeated. A store that is
// slow is asked for less at once, until calls succeed and leave time to run what they claim.
func (b *callQueue) recordCall(now, sent time.Time, jobs []*Job, err error) {
	b.err, b.calling = err, false
	if err == nil {
		b.failures, b.retryAt = 0, time.Time{}
		switch slow := now.Sub(sent) >= b.slowAfter; {
		case !slow:
			b.nextBatch = min(2*b.nextBatch, b.maxBatch)
		case len(jobs) > b.minBatch:
			b.nextBatch = max(b.minBatch, len(jobs)/2)
		}
		return
	}
	b.failedAt = now
	if b.failures++; b.failures > 1 {
		b.nextBatch = max(1, len(jobs)/2)
	}
	b.retryAt = now.Add(doubledUpTo(retryBase, b.failures-1, retryMax))
	b.jobs = append(jobs, b.jobs...)
}

// retryJob has one job of a call that was answered repeated by itself: others do not wait for it.
func (b *callQueue) retryJob(now time.Time, j *Job, err error) { b.refused.addRefusal(now, j, err) }

// clearRefusal forgets that a job was refused before.
func (b *callQueue) clearRefusal(j *Job) { b.refused.forgetJob(j) }

// removeJobs takes out the jobs for which gone is true.
func (b *callQueue) removeJobs(gone func(*Job) bool) {
	b.refused.forgetJobs(gone)
	rest := b.jobs[:0]
	for _, j := range b.jobs {
		if !gone(j) {
			rest = append(rest, j)
		}
	}
	clear(b.jobs[len(rest):])
	b.jobs = rest
}

// Batch is one call: its jobs, and what to ask for each of them.
type Batch[T any] struct {
	Items []T
	jobs  []*Job
	sent  time.Time
}

func newBatch[T any](now time.Time, jobs []*Job, item func(*Job) T) Batch[T] {
	b := Batch[T]{jobs: jobs, sent: now}
	if len(jobs) == 0 {
		return b
	}
	b.Items = make([]T, len(jobs))
	for i, j := range jobs {
		b.Items[i] = item(j)
	}
	return b
}

// Empty: there is nothing to do.
func (b *Batch[T]) Empty() bool { return len(b.Items) == 0 }
