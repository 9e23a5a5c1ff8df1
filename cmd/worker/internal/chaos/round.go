package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/console"
	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

const (
	// look is how often the journal is read.
	look = 2 * time.Millisecond
	// startTimeout is how long the workers may take to subscribe at first.
	startTimeout = 30 * time.Second
)

// round is where the workers are watched. It is for one goroutine.
type round struct {
	o        *Options
	lab      *lab
	plan     *eventPlan
	fleet    *fleet
	injector *injector
	producer *eventProducer
	reader   *journal.Reader
	records  []journal.Record // all of them, for order and stories
	tally    *journal.Tally
	flights  flights
	cursors  *groupCursors
	own      *ownRuns    // nil: the handler is chaos's own
	lines    *lineReader // of the handlers' effects; nil: there is no file
	still    *standstills
	disk     *diskWatch
	calls    rollCall
	show     *console.Console
	curves   curves

	begun      time.Time // when the first event was published
	moved      time.Time // when the journal grew, or the cursor moved
	lostNATS   time.Time // when NATS was seen to be gone, though no fault hits this connection; zero: it is there
	stalled    bool      // the group has not settled
	ends       int       // processes that ended by themselves, as a fault explains
	violations []Violation
}

func (r *round) watchStandstills(ctx context.Context) (stop func()) {
	own := watchStandstills(ctx, r.o.Lease, func(length time.Duration) { r.still.add(0, length, time.Now()) })
	probes := r.still.probeServers(ctx, r.o.Lease, r.lab.connections.NATS(), r.lab.connections.Mongo())
	return func() { own(); probes() }
}

// play plays it all, and judges.
func (r *round) play(ctx context.Context) (Result, error) {
	for i := range r.fleet.slots {
		if err := r.fleet.startWorker(i); err != nil {
			return Result{}, err
		}
	}
	if err := r.awaitWorkers(ctx); err != nil {
		return Result{}, err
	}
	r.printWarnings()
	r.show.PrintLine("publishing %s events in %v to %d workers, with %s faults; seed %d",
		console.GroupDigits(len(r.plan.ids)), r.o.Duration, r.o.Processes, console.GroupDigits(len(r.injector.schedule)), r.o.Seed)
	r.begun = time.Now()
	stopMeasuring, err := r.measure(ctx)
	if err != nil {
		return Result{}, err
	}
	defer stopMeasuring()
	r.producer = startProducer(ctx, r.lab.js, r.plan.messages)
	defer r.producer.stop()
	if err := r.injectFaults(ctx); err != nil {
		return Result{}, err
	}
	healed := time.Now()
	if err := r.settle(ctx); err != nil {
		return Result{}, err
	}
	settled := time.Now()
	r.producer.stop()
	if err := r.callRoll(ctx); err != nil {
		return Result{}, err
	}
	if err := errors.Join(r.drainAll(ctx), r.disk.checkNow()); err != nil {
		return Result{}, err
	}
	return r.judge(ctx, settled.Sub(healed))
}

func (r *round) printWarnings() {
	if r.o.deployed == nil {
		return
	}
	for _, w := range r.o.deployed.warnings {
		r.show.PrintLine("%s", w)
	}
}

// maxFailedStarts is how often a worker may fail to start at first, on a machine that is too busy.
const maxFailedStarts = 3

// awaitWorkers returns when all workers have subscribed.
func (r *round) awaitWorkers(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the workers have not subscribed within %v", startTimeout))
	defer cancel()
	failed := make(map[int]int)
	return r.every(ctx, func() (done bool, err error) {
		if err := errors.Join(r.readJournal(), r.fleet.restartEnded()); err != nil {
			return false, err
		}
		if end, ok := r.fleet.takeEnded(); ok {
			if failed[end.slot]++; end.ready || failed[end.slot] >= maxFailedStarts {
				return false, end.err
			}
		}
		return r.fleet.allReady(), nil
	})
}

// every calls step at each look until it is done or fails.
func (r *round) every(ctx context.Context, step func() (done bool, err error)) error {
	again := time.NewTicker(look)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if done, err := step(); err != nil || done {
			return err
		}
	}
}

// injectFaults lasts until the time is over, and all faults were injected and are healed. Faults
// that waited for something to hit, or for a server that was slow, may be late.
func (r *round) injectFaults(ctx context.Context) error {
	return r.every(ctx, func() (done bool, err error) {
		if err := r.watch(ctx); err != nil {
			return false, err
		}
		elapsed := time.Since(r.begun)
		if err := r.injector.healDue(ctx); err != nil {
			return false, err
		}
		if !r.injector.isDue(elapsed) {
			return elapsed >= r.o.Duration && r.injector.allOver(), nil
		}
		i, err := r.injector.beginNext(ctx)
		if err := errors.Join(err, r.readJournal()); err != nil {
			return false, err
		}
		r.injector.countHits(i)
		r.show.PrintLine("%5.1f s: %s, with %d %s in flight", elapsed.Seconds(), i.Text, i.InFlight, pluralNoun(i.InFlight, "event"))
		return false, nil
	})
}

func pluralNoun(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// watch looks at the journal and at the processes.
func (r *round) watch(ctx context.Context) error {
	if err := r.readJournal(); err != nil {
		return err
	}
	if end, ok := r.fleet.takeDrained(); ok {
		r.judgeDrain(&end)
	}
	if end, ok := r.fleet.takeEnded(); ok {
		r.judgeEnd(&end)
	}
	return errors.Join(r.fleet.restartEnded(), r.checkNATS(), r.disk.check(), context.Cause(ctx))
}

// checkNATS returns an error if a server that is not ours is gone: nothing can be said about the
// workers then.
func (r *round) checkNATS() error {
	switch {
	case r.lab.server != nil || r.lab.connections.NATS().IsConnected():
		r.lostNATS = time.Time{}
	case r.lostNATS.IsZero():
		r.lostNATS = time.Now()
	case time.Since(r.lostNATS) > r.o.patience:
		return fmt.Errorf("the connection to NATS at %s is lost for more than %v, and no fault hits it: does the server run?", r.lab.connections.BusName(), r.o.patience)
	}
	return nil
}

func (r *round) readJournal() error {
	rs, err := r.reader.ReadNew()
	lines, err2 := r.lines.readNew()
	rs, err = append(r.withoutRollCall(rs), lines...), errors.Join(err, err2)
	r.records = append(r.records, rs...)
	r.tally.Add(rs)
	for i := range rs {
		r.noteRecord(&rs[i])
	}
	r.show.ShowProgress(r.tally.Done)
	r.curves.sampleFlights(r.begun, func() int { return r.flights.count(r.fleet.pids(&Fault{Victim: everyWorker})) })
	return err
}

func (r *round) noteRecord(record *journal.Record) {
	r.flights.add(record)
	r.own.add(record)
	switch record.What {
	case journal.Ready:
		r.fleet.noteReady(record.PID)
	case journal.Standstill:
		if length, err := time.ParseDuration(record.ID); err == nil {
			r.still.add(record.PID, length, record.At)
		}
	case journal.Effect:
		r.moved = time.Now()
		r.curves.addEffect(record.At.Sub(r.begun))
		for _, i := range r.injector.injections {
			i.noteEffect(record.At)
		}
	case journal.Handled, journal.Dead, journal.Duplicate:
		r.moved = time.Now()
		for _, i := range r.injector.injections {
			i.noteDone(record.ID, record.At)
		}
	}
}

// judgeDrain: a process drains in order, but where it cannot reach its servers.
func (r *round) judgeDrain(end *processEnd) {
	if end.err == nil || r.isCutOff(end.slot, end.from, end.at) {
		return
	}
	r.violations = append(r.violations, Violation{
		Kind: ViolationEnded, Text: fmt.Sprintf("worker %d (process %d) was told to drain and did not: %v", end.slot+1, end.pid, end.err),
	})
}

// judgeEnd: a process may end by itself if it cannot reach its servers while it starts. What has
// subscribed must outlive whatever happens.
func (r *round) judgeEnd(end *processEnd) {
	if !end.ready && r.isCutOff(end.slot, end.from, end.at) {
		if r.ends++; r.fleet.slots[end.slot].saidCutOff {
			return
		}
		r.fleet.slots[end.slot].saidCutOff = true
		r.show.PrintLine("%5.1f s: worker %d cannot start while it is cut off; it is started again until it can", time.Since(r.begun).Seconds(), end.slot+1)
		return
	}
	r.violations = append(r.violations, Violation{
		Kind: ViolationEnded, Text: fmt.Sprintf("worker %d (process %d) has ended by itself: %v", end.slot+1, end.pid, end.err),
	})
}

// isCutOff reports whether a worker could not reach one of its servers for a part of a time.
func (r *round) isCutOff(slot int, from, to time.Time) bool {
	for _, i := range r.injector.injections {
		if (i.isNetwork() || i.Kind == KindRestart) && i.hits(slot) && i.overlaps(from, to, r.o.Lease) {
			return true
		}
	}
	return false
}

// settle lasts until everything is published and settled, or nothing happens any more.
func (r *round) settle(ctx context.Context) error {
	r.show.PrintLine("%5.1f s: all faults are over; waiting until everything is settled", time.Since(r.begun).Seconds())
	begun := time.Now()
	r.moved = begun
	var pending, unsettled int
	var left int64
	return r.every(ctx, func() (done bool, err error) {
		empty := r.producer.isDone() && r.fleet.draining == 0 && r.cursors.haveReached(ctx, r.producer.lastOf)
		if err := r.watch(ctx); err != nil { // after the cursor: what is settled is in the journal
			return false, err
		}
		p, u := r.cursors.counts()
		if now := r.producer.left.Load(); p != pending || u != unsettled || now != left {
			r.moved, pending, unsettled, left = time.Now(), p, u, now
		}
		if !empty && (time.Since(r.moved) > r.patience() || time.Since(begun) > r.o.settleLimit()+publishPatience) {
			return true, r.judgeStall(time.Since(begun))
		}
		return empty, nil
	})
}

// patience is how long nothing may happen.
func (r *round) patience() time.Duration {
	if r.producer.isDone() {
		return r.o.patience
	}
	return r.o.patience + publishPatience
}

// judgeStall: the workers are not to blame if all is settled that NATS has taken.
func (r *round) judgeStall(after time.Duration) error {
	pending, unsettled := r.cursors.counts()
	if left := r.producer.left.Load(); left > 0 && pending == 0 && unsettled == 0 {
		return fmt.Errorf("NATS has not confirmed %d %s within %v after the last fault: see whether the server is up and has room, or try a lower --rate",
			left, pluralNoun(int(left), "message"), after.Round(time.Second))
	}
	r.addStall(after)
	return nil
}

func (r *round) addStall(after time.Duration) {
	r.stalled = true
	v := Violation{Kind: ViolationStalled, Text: fmt.Sprintf("the group has not settled within %v, and nothing has happened for %v: %s",
		after.Round(time.Second), time.Since(r.moved).Round(time.Second), r.cursors)}
	if left := r.producer.left.Load(); left > 0 {
		v.Text += fmt.Sprintf(", %d messages are not published", left)
	}
	if names := r.tally.Missing(r.plan.ids, 10); len(names) > 0 {
		v.Text += ", events without an effect are " + strings.Join(names, ", ")
	}
	r.violations = append(r.violations, v)
}

// drainAll lets all workers drain. What does not is a violation, unless nothing has settled anyway.
func (r *round) drainAll(ctx context.Context) error {
	if err := r.fleet.pool.Drain(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.violations = append(r.violations, Violation{Kind: ViolationEnded, Text: fmt.Sprintf("at the end: %v", err)})
	}
	for _, s := range r.fleet.slots {
		s.process = nil
	}
	return r.readJournal()
}
