package protocol

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
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

	// Jobs that the store did not take while it took others of the same call. Each is repeated
	// after a backoff of its own, and none holds up the rest.
	refusals    map[*Job]*refusal
	refusedJobs []*Job // those that wait for their backoff; the others are queued, or part of a call
	lastRefusal error
}

// refusal is how often the store has refused a job, and when it is to be asked again.
type refusal struct {
	failures int
	retryAt  time.Time
}

// callError is why the queued work cannot be done; nil if it can.
func (q *callQueue) callError() error {
	switch refused := len(q.refusals); {
	case q.err != nil && (len(q.jobs) > 0 || q.calling):
		return fmt.Errorf("does not answer: %w", q.err)
	case refused > 1:
		return fmt.Errorf("%w (and %d more)", q.lastRefusal, refused-1)
	case refused == 1:
		return q.lastRefusal
	}
	return nil
}

// push queues a job for the next call.
func (q *callQueue) push(j *Job) { q.jobs = append(q.jobs, j) }

func (q *callQueue) isDue(now time.Time) bool {
	isOver := func(j *Job) bool { return !now.Before(q.refusals[j].retryAt) }
	return (len(q.jobs) > 0 || slices.ContainsFunc(q.refusedJobs, isOver)) && !now.Before(q.retryAt)
}

// takeBatch removes and returns the jobs of the next call, of those that fit. If fits
// is nil, all do.
func (q *callQueue) takeBatch(now time.Time, fits func(*Job) bool) []*Job {
	q.jobs = append(q.jobs, extractJobs(&q.refusedJobs, func(j *Job) bool { return !now.Before(q.refusals[j].retryAt) })...)
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
	return extractJobs(&q.jobs, func(j *Job) bool {
		taken := most > 0 && (fits == nil || fits(j))
		if taken {
			most--
		}
		return taken
	})
}

// extractJobs removes the jobs for which isWanted is true from a list, and returns them.
func extractJobs(list *[]*Job, isWanted func(*Job) bool) (wanted []*Job) {
	*list = slices.DeleteFunc(*list, func(j *Job) bool {
		found := isWanted(j)
		if found {
			wanted = append(wanted, j)
		}
		return found
	})
	return wanted
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
	q.retryAt = now.Add(shortBackoff(q.failures))
	q.jobs = append(jobs, q.jobs...)
}

// retryJob repeats one job of a call that was answered. Others do not wait for it.
func (q *callQueue) retryJob(now time.Time, j *Job, err error) {
	if q.refusals == nil {
		q.refusals = make(map[*Job]*refusal)
	}
	r := cmp.Or(q.refusals[j], &refusal{})
	r.failures++
	r.retryAt = now.Add(shortBackoff(r.failures))
	q.refusals[j] = r
	q.refusedJobs = append(q.refusedJobs, j)
	q.lastRefusal = fmt.Errorf("refuses %s: %w", j.key, err)
}

// clearRefusal forgets that a job was refused before.
func (q *callQueue) clearRefusal(j *Job) { delete(q.refusals, j) }

// removeJobs removes the jobs for which isGone is true.
func (q *callQueue) removeJobs(isGone func(*Job) bool) {
	maps.DeleteFunc(q.refusals, func(j *Job, _ *refusal) bool { return isGone(j) })
	q.refusedJobs = slices.DeleteFunc(q.refusedJobs, isGone)
	q.jobs = slices.DeleteFunc(q.jobs, isGone)
}

// Batch is one call: its jobs, and an item for each of them.
type Batch[T any] struct {
	Items []T
	jobs  []*Job
	sent  time.Time
}

func newBatch[T any](now time.Time, jobs []*Job, item func(*Job) T) Batch[T] {
	b := Batch[T]{Items: make([]T, len(jobs)), jobs: jobs, sent: now}
	for i, j := range jobs {
		b.Items[i] = item(j)
	}
	return b
}

// Empty reports whether there is nothing to do.
func (b *Batch[T]) Empty() bool { return len(b.Items) == 0 }
