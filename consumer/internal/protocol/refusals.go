package protocol

import (
	"fmt"
	"slices"
	"time"
)

// refusals are the jobs of a backlog that the store did not take while it took others of the same
// call. Each is repeated after a backoff of its own, and none holds up the rest.
type refusals struct {
	of      map[*Job]*refusal
	waiting []*Job // for their backoff; the others of them are in the backlog, or asked
	last    error
}

type refusal struct {
	fails     int
	notBefore time.Time
}

// add notes one more refusal of a job.
func (r *refusals) add(now time.Time, j *Job, err error) {
	f := r.of[j]
	if f == nil {
		if r.of == nil {
			r.of = make(map[*Job]*refusal)
		}
		f = &refusal{}
		r.of[j] = f
	}
	f.fails++
	f.notBefore = now.Add(doubled(retryBase, f.fails-1, retryMax))
	r.waiting = append(r.waiting, j)
	r.last = fmt.Errorf("refuses %s: %w", j.key, err)
}

func (r *refusals) forget(j *Job) { delete(r.of, j) }

func (r *refusals) due(now time.Time) bool {
	return slices.ContainsFunc(r.waiting, func(j *Job) bool { return !now.Before(r.of[j].notBefore) })
}

// takeDue removes and returns the jobs whose backoff is over.
func (r *refusals) takeDue(now time.Time) (due []*Job) {
	r.waiting = slices.DeleteFunc(r.waiting, func(j *Job) bool {
		over := !now.Before(r.of[j].notBefore)
		if over {
			due = append(due, j)
		}
		return over
	})
	return due
}

// remove forgets the jobs for which gone is true.
func (r *refusals) remove(gone func(*Job) bool) {
	for j := range r.of {
		if gone(j) {
			r.forget(j)
		}
	}
	r.waiting = slices.DeleteFunc(r.waiting, func(j *Job) bool { return r.of[j] == nil })
}

// trouble names the key that was refused last; nil: none is.
func (r *refusals) trouble() error {
	if len(r.of) == 0 {
		return nil
	}
	if n := len(r.of); n > 1 {
		return fmt.Errorf("%w (and %d more)", r.last, n-1)
	}
	return r.last
}
