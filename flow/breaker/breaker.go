package breaker

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/onceish/onceish/flow"
)

// State is what a Breaker lets through.
type State uint8

const (
	// Closed: everything.
	Closed State = iota
	// Open: nothing.
	Open
	// HalfOpen: one run, the probe, and then a ramp of 2, 4, 8 and more at once.
	HalfOpen
)

// String returns "closed", "open" or "half-open".
func (s State) String() string {
	return [...]string{"closed", "open", "half-open"}[min(s, HalfOpen)]
}

// Breaker is a Gate that shuts while its receiver fails. It is safe for concurrent use. Close ends
// it.
type Breaker struct {
	admission

	o            Options
	state        State
	counter      circuitbreaker.CircuitBreaker[any] // failures while closed
	failed       map[string]time.Time               // when the failure of a key was counted
	lastKey      string                             // of the failure that opened the breaker last
	wait         time.Duration                      // how long the next opening lasts
	successes    int                                // at the present limit, while half-open
	timer        *time.Timer
	wakeAt       time.Time // when timer is due
	releaseLease func()    // of the probe; nil without a lease
	closed       bool

	ctx    context.Context //nolint:containedctx // of the calls of Options.Shared; ends with Close
	cancel context.CancelFunc
	calls  sync.WaitGroup
}

var _ flow.AdaptiveGate = (*Breaker)(nil)

// New returns a closed Breaker. o may be nil.
func New(o *Options) (*Breaker, error) {
	options, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Breaker{
		admission: newAdmission(-1, ""), o: options,
		counter: newCounter(&options), failed: make(map[string]time.Time), wait: options.Wait,
	}
	b.onAdmit = b.limitProbe
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.timer = time.AfterFunc(time.Hour, b.onTimer)
	b.timer.Stop()
	return b, nil
}

func newCounter(o *Options) circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().WithFailureThresholdPeriod(uint(o.Failures), o.Over).Build()
}

// Enter implements flow.Gate.
func (b *Breaker) Enter(ctx context.Context) (leave func(error), err error) {
	r := &run{key: b.o.KeyOf(ctx)}
	if err := b.enter(ctx, r); err != nil {
		return nil, err
	}
	return func(err error) {
		failure := err != nil && b.o.IsFailure(err)
		b.mu.Lock()
		defer b.mu.Unlock()
		if !b.release(r) {
			return
		}
		switch {
		case r.generation != b.generation: // it began before the breaker opened
		case failure:
			b.recordFailure(r.key, err)
		case err == nil:
			b.recordSuccess()
		}
		b.admitWaiting()
	}, nil
}

// Capacity implements flow.AdaptiveGate. Runs that began before the breaker opened do not count
// against its limit.
func (b *Breaker) Capacity() (c flow.Capacity, changed <-chan struct{}) {
	return b.currentCapacity()
}

// State returns what the breaker lets through now.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// OpenFor opens the breaker for d, because of what has happened elsewhere: in another process of
// the group. It does not tell Options.Shared. It never shortens an opening, and it may be repeated.
// If the probe fails, the breaker opens for at least twice d, as far as Options.MaxWait allows.
func (b *Breaker) OpenFor(d time.Duration, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d <= 0 || b.closed || b.state == Open && !time.Now().Add(d).After(b.capacity.Until) {
		return
	}
	b.wait = min(max(b.wait, 2*d), b.o.MaxWait)
	b.open(d, reason)
}

// Close stops the timer and the calls of Options.Shared, and waits for them. The state no longer
// changes with time after that: who waits at an open breaker does so until its context ends.
func (b *Breaker) Close() {
	b.mu.Lock()
	b.closed = true
	b.timer.Stop()
	b.dropLease()
	b.mu.Unlock()
	b.cancel()
	b.calls.Wait()
}

// The methods below are called with mu held.

func (b *Breaker) recordFailure(key string, err error) {
	if b.state == Closed {
		if !b.isNewFailure(key) {
			return
		}
		b.counter.RecordFailure()
		if !b.counter.IsOpen() {
			return
		}
		b.openAfterFailure(key, fmt.Sprintf("breaker open after %d failures in %v, the last: %.200v", b.o.Failures, b.o.Over, err))
		return
	}
	if ramping := b.capacity.Limit > 1; ramping && key != "" && key == b.lastKey {
		return
	}
	b.openAfterFailure(key, fmt.Sprintf("breaker open again after a failed probe: %.200v", err))
}

// isNewFailure reports whether no failure of the key was counted within the window.
func (b *Breaker) isNewFailure(key string) bool {
	if key == "" {
		return true
	}
	now := time.Now()
	maps.DeleteFunc(b.failed, func(_ string, at time.Time) bool { return now.Sub(at) >= b.o.Over })
	if _, counted := b.failed[key]; counted {
		return false
	}
	b.failed[key] = now
	return true
}

func (b *Breaker) openAfterFailure(key, reason string) {
	b.lastKey = key
	d := b.wait
	b.wait = min(2*d, b.o.MaxWait)
	b.open(d, reason)
	b.shareOpening(d, reason)
}

// open holds everything back for d.
func (b *Breaker) open(d time.Duration, reason string) {
	b.dropLease()
	b.counter = newCounter(&b.o)
	clear(b.failed)
	b.generation++
	b.inside = new(int)
	until := time.Now().Add(d)
	b.wake(until)
	b.o.Logger.Warn("breaker opened; no run starts", "for", d, "reason", reason)
	b.change(Open, flow.Capacity{Until: until, Reason: reason})
}

// halfOpen admits the probe.
func (b *Breaker) halfOpen(releaseLease func()) {
	b.releaseLease = releaseLease
	b.successes = 0
	b.wake(time.Now().Add(b.o.ProbeLimit))
	b.change(HalfOpen, flow.Capacity{Limit: 1, Reason: "breaker half-open: one run probes the receiver"})
}

// recordSuccess doubles a half-open breaker's limit once as many runs have succeeded under it, and
// closes it at the end of the ramp.
func (b *Breaker) recordSuccess() {
	b.successes++
	if b.state == Closed || b.successes < b.capacity.Limit {
		return
	}
	b.successes = 0
	b.dropLease()
	limit := 2 * max(b.capacity.Limit, 1)
	if limit < b.o.RampTo {
		b.change(HalfOpen, flow.Capacity{Limit: limit, Reason: "breaker half-open: the ramp goes on"})
		return
	}
	b.timer.Stop()
	b.wait, b.lastKey = b.o.Wait, ""
	b.o.Logger.Info("breaker closed")
	b.change(Closed, flow.Capacity{Limit: -1})
}

func (b *Breaker) change(s State, c flow.Capacity) {
	changed := s != b.state
	b.state = s
	if changed {
		b.o.OnChange(s, c)
	}
	b.setCapacity(c)
}

// limitProbe bounds the time that a half-open breaker is full.
func (b *Breaker) limitProbe() {
	if b.state == HalfOpen && !b.hasRoom() {
		b.wake(time.Now().Add(b.o.ProbeLimit))
	}
}

func (b *Breaker) wake(at time.Time) {
	if !b.closed {
		b.wakeAt = at
		b.timer.Reset(time.Until(at))
	}
}

// onTimer ends a wait, or the time of a probe. It takes mu itself.
func (b *Breaker) onTimer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed || b.state == Closed || time.Now().Before(b.wakeAt): // it was set again while this call waited for mu
	case b.state == Open && b.o.Shared != nil:
		b.acquireProbe()
	case b.state == Open:
		b.halfOpen(nil)
	case b.releaseLease != nil:
		b.yieldProbe()
	case !b.hasRoom():
		b.o.Logger.Warn("a probe of the breaker has not ended; another run may start", "limit", b.o.ProbeLimit)
		b.inside = new(int)
		b.admitWaiting()
	}
}
