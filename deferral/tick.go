package deferral

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/backoff"
)

// PausedBy is who pauses the subscription to the deferred events between summaries: so nothing is
// held unacked while it waits.
const PausedBy = "deferral"

// ticker says when summaries are due: an interval after the first deferred event, all that is
// deferred by then. What is deferred meanwhile is due an interval later.
type ticker struct {
	tracker *Tracker
	poked   chan struct{} // has room for one

	mu      sync.Mutex
	horizon uint64    // summaries of what lies up to there are due
	moved   time.Time // when it was moved there
	flushed uint64    // what lies up to there is due at once
	unacked bool      // the topic may have events that are done, and that nobody has acked

	lost <-chan struct{} // closed when another process may make summaries; nil: never
}

func newTicker(t *Tracker) *ticker {
	return &ticker{tracker: t, poked: make(chan struct{}, 1), unacked: true}
}

// poke has the ticker look again at what is due.
func (k *ticker) poke() {
	select {
	case k.poked <- struct{}{}:
	default:
	}
}

// flush makes due at once what lies up to a sequence, whichever process makes the summaries.
func (k *ticker) flush(sequence uint64) {
	k.mu.Lock()
	k.flushed, k.unacked = max(k.flushed, sequence), true
	k.mu.Unlock()
	k.poke()
}

// reset forgets the sequences of a stream that was replaced.
func (k *ticker) reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.horizon, k.flushed, k.unacked = 0, 0, true
}

// isDue reports whether an event may be summed up, which takes the lease of the group's summaries.
// If not, it is redelivered after a while, or when the subscription is resumed.
func (k *ticker) isDue(sequence uint64) (again time.Duration, due bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	left := k.tracker.Config().Interval - time.Since(k.moved)
	again = min(max(left, 100*time.Millisecond), 5*time.Second)
	select {
	case <-k.lost: // the run of the ticker may not have seen it yet
		return again, false
	default:
		return again, sequence <= k.horizon
	}
}

// due returns when the next summaries are, given the first event that waits, and up to where: in
// the past, if they are due already.
func (k *ticker) due(first *entry) (at time.Time, upTo uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at = first.since.Add(k.tracker.Config().Interval)
	if first.at.Sequence <= k.horizon { // it is being summed up, and holds up no other
		at = k.moved.Add(k.tracker.Config().Interval)
	}
	if first.at.Sequence <= k.flushed && k.horizon < k.flushed && time.Now().Before(at) {
		return k.moved, k.flushed
	}
	return at, k.tracker.index.end()
}

func (k *ticker) isPending(first *entry) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return first.at.Sequence <= k.horizon
}

// move makes due what lies up to a sequence.
func (k *ticker) move(sequence uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.horizon, k.moved = sequence, time.Now()
}

// leaseLost is closed when the lease is lost under which summaries are made now.
func (k *ticker) leaseLost() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lost
}

func (k *ticker) dueUpTo() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.horizon
}

func (k *ticker) mayBeUnacked() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unacked
}

func (k *ticker) setUnacked(unacked bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unacked = unacked
}

// tickRun is the state of a ticker's run.
type tickRun struct {
	*ticker

	sub     *consumer.Subscription
	lease   *group.Lease // nil: none is held
	resumed bool
	paused  time.Time // when it was paused last

	checkedGone time.Time // when a process without the lease looked last which overdue events are gone
}

// run resumes the subscription whenever summaries are due, and pauses it when they are done.
func (k *ticker) run(ctx context.Context, sub *consumer.Subscription) {
	r := &tickRun{ticker: k, sub: sub, paused: time.Now()}
	defer r.end(ctx)
	for ctx.Err() == nil {
		first, ok, changed := k.tracker.index.oldest()
		due, upTo := k.due(&first)
		switch {
		case ok && !time.Now().Before(due):
			r.begin(ctx, upTo)
		case ok && k.isPending(&first):
			r.await(ctx, changed, time.Until(due))
		case r.resumed:
			r.settleDown(ctx)
		case ok:
			r.await(ctx, changed, time.Until(due))
		case k.mayBeUnacked():
			r.finishLeftovers(ctx, changed)
		default:
			r.await(ctx, changed, pauseFor)
			r.refreshPause()
		}
	}
}

// await waits for a change, until it is time, or until the lease is lost.
func (r *tickRun) await(ctx context.Context, changed <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(max(d, time.Millisecond))
	defer timer.Stop()
	var lost <-chan struct{}
	if r.lease != nil {
		lost = r.lease.Done()
	}
	select {
	case <-changed:
	case <-r.poked:
	case <-timer.C:
	case <-lost:
		r.lease = nil
		r.pause()
		r.tracker.log.Warn("another process makes the summaries of the group now")
		r.move(0)
	case <-ctx.Done():
	}
}

// begin makes due what is known up to a sequence, if this process is the one that makes summaries.
func (r *tickRun) begin(ctx context.Context, upTo uint64) {
	if !r.holdLease(ctx) {
		r.refreshPause()
		r.move(0)
		_ = backoff.Sleep(ctx, r.leaseCheck())
		r.forget(ctx, upTo)
		r.forgetOverdue(ctx)
		return
	}
	r.awaitRead(ctx, upTo)
	r.forget(ctx, upTo)
	r.move(upTo)
	r.resume()
}

// readTime is how long summaries wait for what this process has stored to be read back. Without it
// they have what was read, and the rest is in further ones.
const readTime = time.Second

// awaitRead waits until the topic was read up to a sequence, for readTime at most.
func (r *tickRun) awaitRead(ctx context.Context, sequence uint64) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	for {
		read, changed := r.tracker.index.readUpTo()
		if read >= sequence {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// forget forgets what other processes have done, and what was due before and is no longer stored.
func (r *tickRun) forget(ctx context.Context, upTo uint64) {
	t := r.tracker
	err := t.forgetDone(ctx, t.index.all(upTo))
	if err == nil {
		err = t.forgetGone(ctx, t.index.all(r.dueUpTo()))
	}
	if err != nil && ctx.Err() == nil {
		t.observeError("it is not known which deferred events are done; retrying", err)
	}
}

// forgetOverdue forgets, once an interval, what has been due for an interval and is no longer
// stored: the process that makes summaries has had its time to, so most of the rest is gone.
func (r *tickRun) forgetOverdue(ctx context.Context) {
	t, interval := r.tracker, r.tracker.Config().Interval
	if time.Since(r.checkedGone) < interval {
		return
	}
	r.checkedGone = time.Now()
	if err := t.forgetGone(ctx, t.index.waitingSince(time.Now().Add(-2*interval))); err != nil && ctx.Err() == nil {
		t.observeError("it is not known which deferred events are still stored; retrying", err)
	}
}

// holdLease reports whether this process is the one that makes summaries.
func (r *tickRun) holdLease(ctx context.Context) bool {
	session := r.tracker.options.Session
	if session == nil || r.lease != nil && r.lease.Err() == nil {
		return true
	}
	call, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	lease, err := session.Acquire(call, "deferral "+r.tracker.topic)
	switch {
	case err == nil:
		r.lease = lease
		r.mu.Lock()
		r.lost = lease.Done()
		r.mu.Unlock()
		return true
	case !errors.Is(err, group.ErrHeld) && ctx.Err() == nil:
		r.tracker.observeError("it is not known which process makes summaries; retrying", err)
	}
	return false
}

// finishLeftovers lets the subscription ack what was summed up by a process that has ended, and
// what needs no summary. While another process holds the lease it is left to that one.
func (r *tickRun) finishLeftovers(ctx context.Context, changed <-chan struct{}) {
	switch {
	case r.isAllAcked(ctx):
	case r.holdLease(ctx):
		r.resume()
	default:
		r.await(ctx, changed, r.leaseCheck())
	}
}

// leaseCheck is how often a lease is asked for that another process holds.
func (r *tickRun) leaseCheck() time.Duration {
	return min(r.tracker.Config().Interval/2, 5*time.Second)
}

// isAllAcked reports whether the subscription is known to have nothing left to ack.
func (r *tickRun) isAllAcked(ctx context.Context) bool {
	r.setUnacked(false) // before it is looked: a flush may come meanwhile
	lag, err := r.sub.Lag(ctx)
	all := err == nil && lag.Pending+lag.Unsettled == 0
	if !all {
		r.setUnacked(true)
	}
	return all
}

// idleCheck is how often a subscription is looked at that is about to be paused.
const idleCheck = 250 * time.Millisecond

// settleDown pauses the subscription once it has acked what is done. It gives up on that when
// nothing was acked for a second, or the next summary is due.
func (r *tickRun) settleDown(ctx context.Context) {
	before, quiet := r.settled(), 0
	for quiet < 4 {
		if backoff.Sleep(ctx, idleCheck) != nil {
			return
		}
		if r.isSomethingDue() {
			return
		}
		if r.isAllAcked(ctx) {
			break
		}
		if now := r.settled(); now != before {
			before, quiet = now, 0
		} else {
			quiet++
		}
	}
	r.pause()
}

func (r *tickRun) isSomethingDue() bool {
	first, ok, _ := r.tracker.index.oldest()
	due, _ := r.due(&first)
	return ok && !time.Now().Before(due)
}

func (r *tickRun) settled() uint64 {
	s := r.sub.Stats()
	return s.Handled + s.Duplicates + s.Dead + s.Skipped
}

func (r *tickRun) resume() {
	r.resumed = true
	r.sub.ResumeBy(PausedBy)
}

func (r *tickRun) pause() {
	r.resumed, r.paused = false, time.Now()
	r.sub.PauseBy(PausedBy)
}

// pauseFor is how long the subscription is paused in one go: a pause that outlasts marks is warned
// of.
const pauseFor = time.Hour

func (r *tickRun) refreshPause() {
	if !r.resumed && time.Since(r.paused) >= pauseFor {
		r.resume()
		r.pause()
	}
}

// end gives the lease back, once the subscription has ended.
func (r *tickRun) end(ctx context.Context) {
	<-r.sub.Done()
	if r.lease == nil {
		return
	}
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := r.lease.Release(call); err != nil {
		r.tracker.log.Warn("the lease of the group's summaries was not given back", "error", err)
	}
}
