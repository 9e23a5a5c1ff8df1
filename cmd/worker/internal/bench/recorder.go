package bench

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// recorder counts what a process does with the events of a measurement. Its methods are safe for
// concurrent use.
type recorder struct {
	cell    *cell
	runs    []atomic.Uint32 // of each event
	waited  []atomic.Int64  // of each event, from due to its handler, in nanoseconds
	ended   []atomic.Int64  // of each event, when its handler returned, in nanoseconds since 1970
	done    atomic.Int64    // events that are completed, each once
	answers atomic.Int64    // deliveries that were answered

	mu        sync.Mutex
	tally     tally
	completed []bool // of each event
	latencies map[step]*latency
	err       error // the first
}

// tally is what a process has counted. It is written by gob.
type tally struct {
	// Runs of each event.
	Runs []uint32
	// Latencies by their step.
	Latencies map[step]*latency
	// Completed are the counted events.
	Completed timeline
	// First is when the first counted event began, Last when the last one was completed, in
	// nanoseconds since 1970. 0: there was none.
	First, Last int64
	// Duplicates were recognised.
	Duplicates int
}

func newRecorder(c *cell) *recorder {
	n := c.total()
	return &recorder{
		cell: c, runs: make([]atomic.Uint32, n), waited: make([]atomic.Int64, n), ended: make([]atomic.Int64, n), completed: make([]bool, n),
		latencies: make(map[step]*latency),
	}
}

// fail keeps the first error.
func (r *recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
}

// failure is the first error.
func (r *recorder) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// beginRun counts a run of an event.
func (r *recorder) beginRun(s eventStamp, now time.Time) {
	r.runs[s.index].Add(1)
	r.waited[s.index].Store(s.since(now))
	r.ended[s.index].Store(now.UnixNano())
}

// endRun notes when a handler returned.
func (r *recorder) endRun(s eventStamp, now time.Time) { r.ended[s.index].Store(now.UnixNano()) }

// completeRun counts an event as completed, the first time, and how long its steps took: those
// until its handler began, and those that are given.
func (r *recorder) completeRun(index int, now int64, steps ...tookStep) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.markCompleted(index) && r.cell.counts(index) {
		r.begin(r.ended[index].Load())
		r.complete(now)
		if r.cell.Rate > 0 {
			r.record(dueToHandler, r.waited[index].Load())
		}
		for _, s := range steps {
			r.record(s.step, s.took)
		}
	}
}

// tookStep is how long a step took, in nanoseconds.
type tookStep struct {
	step step
	took int64
}

// recordStep counts a latency of an event that is not in the warm-up.
func (r *recorder) recordStep(s step, index int, took int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cell.counts(index) {
		r.record(s, took)
	}
}

// beginAt notes when work on an event began.
func (r *recorder) beginAt(index int, now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cell.counts(index) {
		r.begin(now)
	}
}

// completeEvent counts an event as run and, the first time, as completed. It reports whether it was
// the first time.
func (r *recorder) completeEvent(index int, now int64) (first bool) {
	r.runs[index].Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.markCompleted(index) {
		return false
	}
	if r.cell.counts(index) {
		r.complete(now)
	}
	return true
}

func (r *recorder) markCompleted(index int) (first bool) {
	first = !r.completed[index]
	r.completed[index] = true
	if first {
		r.done.Add(1)
	}
	return first
}

// addDuplicate counts a delivery or a receipt that was recognised as one of an event that is done.
func (r *recorder) addDuplicate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.Duplicates++
}

func (r *recorder) begin(now int64) {
	if r.tally.First == 0 || now < r.tally.First {
		r.tally.First = now
	}
}

func (r *recorder) complete(now int64) {
	r.tally.Completed.add(now, 1)
	r.tally.Last = max(r.tally.Last, now)
}

func (r *recorder) record(s step, took int64) {
	l := r.latencies[s]
	if l == nil {
		l = newLatency()
		r.latencies[s] = l
	}
	if err := l.record(took); err != nil && r.err == nil {
		r.err = fmt.Errorf("from %s: %w", s, err)
	}
}

// result is what was counted, once nothing is counted any more.
func (r *recorder) result() (tally, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tally
	t.Latencies = r.latencies
	t.Runs = make([]uint32, len(r.runs))
	for i := range r.runs {
		t.Runs[i] = r.runs[i].Load()
	}
	return t, r.err
}

// merge adds what another process has counted.
func (t *tally) merge(other *tally) error {
	for i, n := range other.Runs {
		t.Runs[i] += n
	}
	var errs []error
	for s, l := range other.Latencies {
		if t.Latencies[s] == nil {
			t.Latencies[s] = newLatency()
		}
		errs = append(errs, t.Latencies[s].merge(l))
	}
	t.Completed.merge(&other.Completed)
	if other.First != 0 && (t.First == 0 || other.First < t.First) {
		t.First = other.First
	}
	t.Last = max(t.Last, other.Last)
	t.Duplicates += other.Duplicates
	return errors.Join(errs...)
}

// repeats are runs beyond the first of an event.
func (t *tally) repeats() (n int) {
	for _, runs := range t.Runs {
		n += max(0, int(runs)-1)
	}
	return n
}

func newTally(c *cell) *tally {
	return &tally{Runs: make([]uint32, c.total()), Latencies: make(map[step]*latency)}
}
