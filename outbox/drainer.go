package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
)

// Drainer publishes the rows of a Queue, and marks them. There may be any number of them, in any
// number of processes. Its methods are safe for concurrent use.
type Drainer struct {
	queue     Queue
	publisher bus.Publisher
	o         Options

	forceStopped context.Context //nolint:containedctx // ends with CutShort
	forceStop    context.CancelFunc

	loadSignal, leaseSignal, markSignal wakeSignal

	mu           sync.Mutex
	work         sync.Cond // publishers wait for it
	scheduler    scheduler
	phase        runPhase
	failingCalls map[string]error // what calls of the store last failed with
	retryTimer   *time.Timer      // wakes publishers after an outage
}

type runPhase uint8

const (
	notStarted runPhase = iota
	inProgress
	hasEnded
)

// wakeSignal wakes one goroutine. Signals that it has not seen yet are one.
type wakeSignal chan struct{}

func newSignal() wakeSignal { return make(wakeSignal, 1) }

func (s wakeSignal) send() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// NewDrainer makes a drainer from a queue to a bus. It does nothing until Run. Nil options
// are the default.
func NewDrainer(q Queue, to bus.Publisher, o *Options) (*Drainer, error) {
	if q == nil || to == nil {
		return nil, errors.New("outbox: NewDrainer needs a Queue to read from, and a Publisher to publish to")
	}
	v, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Drainer{
		queue: q, publisher: to, o: v, loadSignal: newSignal(), leaseSignal: newSignal(), markSignal: newSignal(),
		failingCalls: map[string]error{},
	}
	d.forceStopped, d.forceStop = context.WithCancel(context.Background())
	d.scheduler = newScheduler(&d.o)
	d.work.L = &d.mu
	return d, nil
}

// Actor is for a run.Group: run is Run until stop is called.
func (d *Drainer) Actor() (run func() error, stop func(error)) {
	ctx, cancel := context.WithCancel(context.Background())
	return func() error { return d.Run(ctx) }, func(error) { cancel() }
}

// CutShort ends what is on its way once Run's ctx has ended, as if Options.Drain were over. It does
// not wait. Repeated calls do nothing.
func (d *Drainer) CutShort() { d.forceStop() }

// Notify says that rows were added: the drainer looks for them at once. It never blocks.
func (d *Drainer) Notify() {
	d.mu.Lock()
	d.scheduler.scanner.rescanNow = true
	d.mu.Unlock()
	d.loadSignal.send()
}

// Run drains until ctx ends, and then finishes what is on its way, within Options.Drain, marks it
// and gives its partitions back. It returns when all that it started has stopped: nil,
// ErrDrainIncomplete, or bus.ErrClosed when the bus was closed for good. It runs once.
func (d *Drainer) Run(ctx context.Context) error {
	if err := d.beginRun(); err != nil {
		return err
	}
	calls, cut := context.WithCancelCause(context.WithoutCancel(ctx)) // of the store and the bus: they outlast ctx
	defer cut(nil)
	intake, leave := context.WithCancel(ctx)
	defer leave()
	var reading, publishing, settling, keeping sync.WaitGroup
	published, settled := make(chan struct{}), make(chan struct{})
	reading.Go(func() { d.loadPages(intake) })
	reading.Go(func() { d.watchStore(intake) })
	reading.Go(func() { d.releaseDue(intake) })
	for range d.o.Publishers {
		publishing.Go(func() { d.publishBatches(calls, leave) })
	}
	settling.Go(func() { d.markResults(calls, published) })
	keeping.Go(func() { d.keepLeases(calls, settled) })

	<-intake.Done()
	timer := time.AfterFunc(d.o.Drain, func() { cut(errDrainTimeout) })
	defer timer.Stop()
	defer context.AfterFunc(d.forceStopped, func() { cut(errDrainTimeout) })() //nolint:contextcheck // another one's end
	d.stopPublishers()
	reading.Wait()
	publishing.Wait()
	close(published)
	settling.Wait()
	close(settled)
	keeping.Wait()
	return d.endRun()
}

var errDrainTimeout = errors.New("outbox: drain time-out reached")

func (d *Drainer) beginRun() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase != notStarted {
		return errors.New("outbox: Drainer.Run was called before: make another drainer")
	}
	d.phase = inProgress
	d.retryTimer = time.AfterFunc(time.Hour, func() {
		d.mu.Lock() // who looks at the time now waits before this goes out
		defer d.mu.Unlock()
		d.work.Broadcast()
	})
	d.retryTimer.Stop()
	return nil
}

func (d *Drainer) stopPublishers() {
	d.mu.Lock()
	d.scheduler.draining = true
	d.mu.Unlock()
	d.work.Broadcast()
}

func (d *Drainer) endRun() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.retryTimer.Stop()
	d.phase = hasEnded
	var incomplete error
	if n := d.scheduler.unmarkedCount; n > 0 {
		incomplete = fmt.Errorf("outbox: %w: %d events were published and could not be marked: they will be published again", ErrDrainIncomplete, n)
	}
	return errors.Join(d.scheduler.busClosed, incomplete)
}

// recordStoreCall notes how a call of the store ended. It logs the first failure and the recovery.
func (d *Drainer) recordStoreCall(call string, err error) {
	d.mu.Lock()
	before := d.failingCalls[call]
	if err == nil {
		delete(d.failingCalls, call)
	} else {
		d.failingCalls[call] = err
	}
	d.mu.Unlock()
	switch {
	case err != nil && before == nil:
		d.o.Logger.Warn("outbox: a call of the store failed: trying again", "call", call, "error", err)
	case err == nil && before != nil:
		d.o.Logger.Info("outbox: the store answers again", "call", call)
	}
}

// Calls of the store that failed are repeated after 10 ms, doubling to 1 s.
const (
	retryBase = 10 * time.Millisecond
	retryMax  = time.Second
)
