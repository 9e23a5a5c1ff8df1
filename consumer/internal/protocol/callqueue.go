package protocol

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// callQueue is work for one kind of call, taken in batches of what has accumulated. A batch whose
// call failed goes back in front, and waits a little longer each time.
type callQueue struct {
	maxBatch  int           // of a call
	nextBatch int           // of the next call; zero: maxBatch
	slowAfter time.Duration // a call that takes as long leaves too little of a lease
	minBatch  int           // a slow call is not made smaller: small ones may take as long
	jobs      []*Job
	retryAt   time.Time
	failures  int
	calling   bool  // a call is under way
	err       error // of the last call; nil after one that was answered
	failedAt  time.Time
	refused   refusedJobs
}

// callError is why the queued work cannot be done; nil if it can.
func (q *callQueue) callError() error {
	if q.err == nil || len(q.jobs) == 0 && !q.calling {
		return q.refused.lastRefusal()
	}
	return fmt.Errorf("does not answer: %w", q.err)
}

// push queues a job for the next call.
func (q *callQueue) push(j *Job) { q.jobs = append(q.jobs, j) }

func (q *callQueue) isDue(now time.Time) bool {
	return (len(q.jobs) > 0 || q.refused.anyDue(now)) && !now.Before(q.retryAt)
}

// takeBatch removes and returns the jobs of the next call, of those that fit. If fits
// is nil, all do.
func (q *callQueue) takeBatch(now time.Time, fits func(*Job) bool) []*Job {
	q.jobs = append(q.jobs, q.refused.takeDue(now)...)
	if len(q.jobs) == 0 || now.Before(q.retryAt) {
		return nil
	}
	q.calling = true
	most := cmp.Or(q.nextBatch, q.maxBatch)
	if fits == nil && len(q.jobs) <= most {
		out := q.jobs
		q.jobs = nil
		return out
	}
	var out []*Job
	q.jobs = slices.DeleteFunc(q.jobs, func(j *Job) bool {
		taken := len(out) < most && (fits == nil || fits(j))
		if taken {
			out = append(out, j)
		}
		return taken
	})
	return out
}

// recordCall notes how a call went, and queues the jobs of one that failed again. A store that is
// slow gets smaller calls, until they succeed and leave time to run what they claim.
func (q *callQueue) recordCall(now, sent time.Time, jobs []*Job, err error) {
	q.err, q.calling = err, false
	if err == nil {
		q.failures, q.retryAt = 0, time.Time{}
		switch slow := now.Sub(sent) >= q.slowAfter; {
		case !slow:
			q.nextBatch = min(2*q.nextBatch, q.maxBatch)
		case len(jobs) > q.minBatch:
			q.nextBatch = max(q.minBatch, len(jobs)/2)
		}
		return
	}
	q.failedAt = now
	if q.failures++; q.failures > 1 {
		q.nextBatch = max(1, len(jobs)/2)
	}
	q.retryAt = now.Add(backoff.Doubled(retryBase, q.failures-1, retryMax))
	q.jobs = append(jobs, q.jobs...)
}

// retryJob repeats one job of a call that was answered. Others do not wait for it.
func (q *callQueue) retryJob(now time.Time, j *Job, err error) { q.refused.addRefusal(now, j, err) }

// clearRefusal forgets that a job was refused before.
func (q *callQueue) clearRefusal(j *Job) { q.refused.forgetJob(j) }

// removeJobs removes the jobs for which gone is true.
func (q *callQueue) removeJobs(gone func(*Job) bool) {
	q.refused.forgetJobs(gone)
	q.jobs = slices.DeleteFunc(q.jobs, gone)
}

// Batch is one call: its jobs, and an item for each of them.
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

// Empty reports whether there is nothing to do.
func (b *Batch[T]) Empty() bool { return len(b.Items) == 0 }

// refusedJobs are the jobs of a callQueue that the store did not take while it took others of the
// same call. Each is repeated after a backoff of its own, and none holds up the rest.
type refusedJobs struct {
	byJob       map[*Job]*refusalState
	waitingJobs []*Job // for their backoff; the others are queued, or part of a call
	last        error
}

type refusalState struct {
	failures int
	retryAt  time.Time
}

// addRefusal notes one more refusal of a job.
func (r *refusedJobs) addRefusal(now time.Time, j *Job, err error) {
	f := r.byJob[j]
	if f == nil {
		if r.byJob == nil {
			r.byJob = make(map[*Job]*refusalState)
		}
		f = &refusalState{}
		r.byJob[j] = f
	}
	f.failures++
	f.retryAt = now.Add(backoff.Doubled(retryBase, f.failures-1, retryMax))
	r.waitingJobs = append(r.waitingJobs, j)
	r.last = fmt.Errorf("refuses %s: %w", j.key, err)
}

func (r *refusedJobs) forgetJob(j *Job) { delete(r.byJob, j) }

func (r *refusedJobs) anyDue(now time.Time) bool {
	return slices.ContainsFunc(r.waitingJobs, func(j *Job) bool { return !now.Before(r.byJob[j].retryAt) })
}

// takeDue removes and returns the jobs whose backoff is over.
func (r *refusedJobs) takeDue(now time.Time) (due []*Job) {
	r.waitingJobs = slices.DeleteFunc(r.waitingJobs, func(j *Job) bool {
		over := !now.Before(r.byJob[j].retryAt)
		if over {
			due = append(due, j)
		}
		return over
	})
	return due
}

// forgetJobs forgets the jobs for which gone is true.
func (r *refusedJobs) forgetJobs(gone func(*Job) bool) {
	for j := range r.byJob {
		if gone(j) {
			r.forgetJob(j)
		}
	}
	r.waitingJobs = slices.DeleteFunc(r.waitingJobs, func(j *Job) bool { return r.byJob[j] == nil })
}

// lastRefusal names the key that was refused last; nil: none is.
func (r *refusedJobs) lastRefusal() error {
	if len(r.byJob) == 0 {
		return nil
	}
	if n := len(r.byJob); n > 1 {
		return fmt.Errorf("%w (and %d more)", r.last, n-1)
	}
	return r.last
}
