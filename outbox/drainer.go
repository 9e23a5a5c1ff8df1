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
	queue Queue
	to    bus.Publisher
	o     Options
	stop  chan struct{} // closed by the actor
	once  sync.Once

	hurried context.Context //nolint:containedctx // ends with CutShort
	hurry   context.CancelFunc

	loads, keeps, settles signal

	mu      sync.Mutex
	work    sync.Cond // publishers wait for it
	board   board
	phase   phase
	trouble map[string]error // what calls of the store last failed with
	retry   *time.Timer      // wakes publishers after an outage
}

type phase uint8

const (
	made phase = iota
	running
	over
)

// signal wakes one goroutine. Signals that it has not seen yet are one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) send() {
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
		queue: q, to: to, o: v, stop: make(chan struct{}), loads: newSignal(), keeps: newSignal(), settles: newSignal(),
		trouble: map[string]error{},
	}
	d.hurried, d.hurry = context.WithCancel(context.Background())
	d.board = newBoard(&d.o)
	d.work.L = &d.mu
	return d, nil
}

// Actor is for a run.Group: run is Run until stop is called.
func (d *Drainer) Actor() (run func() error, stop func(error)) {
	return func() error { return d.Run(context.Background()) }, func(error) { d.once.Do(func() { close(d.stop) }) }
}

// CutShort ends what is on its way once Run's ctx has ended, as if Options.Drain were over. It does
// not wait. Repeated calls do nothing.
func (d *Drainer) CutShort() { d.hurry() }

// Notify says that rows were added: the drainer looks for them at once. It never blocks.
func (d *Drainer) Notify() {
	d.mu.Lock()
	d.board.rotation.woken = true
	d.mu.Unlock()
	d.loads.send()
}

// Run drains until ctx ends, and then finishes what is on its way, within Options.Drain, marks it
// and gives its partitions back. It returns when all that it started has stopped: nil,
// ErrDrainIncomplete, or bus.ErrClosed when the bus was closed for good. It runs once.
func (d *Drainer) Run(ctx context.Context) error {
	if err := d.begin(); err != nil {
		return err
	}
	calls, cut := context.WithCancelCause(context.WithoutCancel(ctx)) // of the store and the bus: they outlast ctx
	defer cut(nil)
	intake, leave := context.WithCancel(ctx)
	defer leave()
	var reading, publishing, settling, keeping sync.WaitGroup
	published, settled := make(chan struct{}), make(chan struct{})
	reading.Go(func() { d.load(intake) })
	reading.Go(func() { d.watch(intake) })
	for range d.o.Publishers {
		publishing.Go(func() { d.publish(calls, leave) })
	}
	settling.Go(func() { d.settle(calls, published) })
	keeping.Go(func() { d.keep(calls, settled) })

	select {
	case <-intake.Done():
	case <-d.stop:
	}
	leave()
	timer := time.AfterFunc(d.o.Drain, func() { cut(errDrain) })
	defer timer.Stop()
	defer context.AfterFunc(d.hurried, func() { cut(errDrain) })() //nolint:contextcheck // another one's end
	d.close()
	reading.Wait()
	publishing.Wait()
	close(published)
	settling.Wait()
	close(settled)
	keeping.Wait()
	return d.end()
}

var errDrain = errors.New("outbox: drain time-out reached")

func (d *Drainer) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase != made {
		return errors.New("outbox: Drainer.Run was called before: make another drainer")
	}
	d.phase = running
	d.retry = time.AfterFunc(time.Hour, func() {
		d.mu.Lock() // who looks at the time now waits before this goes out
		defer d.mu.Unlock()
		d.work.Broadcast()
	})
	d.retry.Stop()
	return nil
}

// close has the publishers stop.
func (d *Drainer) close() {
	d.mu.Lock()
	d.board.closing = true
	d.mu.Unlock()
	d.work.Broadcast()
}

func (d *Drainer) end() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.retry.Stop()
	d.phase = over
	var incomplete error
	if n := d.board.marking; n > 0 {
		incomplete = fmt.Errorf("outbox: %w: %d events were published and could not be marked: they will be published again", ErrDrainIncomplete, n)
	}
	return errors.Join(d.board.closed, incomplete)
}

// troubled notes how a call of the store ended. It logs the first failure and the recovery.
func (d *Drainer) troubled(call string, err error) {
	d.mu.Lock()
	before := d.trouble[call]
	if err == nil {
		delete(d.trouble, call)
	} else {
		d.trouble[call] = err
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
