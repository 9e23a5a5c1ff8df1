package protocol

import (
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

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
