package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

// publishCall is one Publish: events on their way, and what the server said of them.
type publishCall struct {
	number  uint64
	events  []bus.Event
	window  chan struct{}    // holds one for each event on its way, of all calls
	state   *connectionState // of the link when it began; a confirmation does not survive another one
	timer   *time.Timer
	timeout time.Duration
	done    chan struct{} // closed when every event is settled

	mu            sync.Mutex
	receipts      []bus.Receipt
	progress      []publishProgress // of each event
	left          int               // events not settled
	inFlight      int
	lastConfirmed time.Time // when the server last confirmed something, or the only event in flight was sent
}

type publishProgress uint8

const (
	waiting publishProgress = iota
	sent
	settled
)

func newCall(events []bus.Event, window chan struct{}, state *connectionState, timeout time.Duration) *publishCall {
	return &publishCall{
		events: events, window: window, state: state, timer: time.NewTimer(timeout), timeout: timeout, done: make(chan struct{}),
		receipts: make([]bus.Receipt, len(events)), progress: make([]publishProgress, len(events)), left: len(events),
	}
}

// reserveSlot waits for room in the window.
func (c *publishCall) reserveSlot(ctx context.Context, nc *nats.Conn) error {
	select {
	case <-c.state.changed:
		return c.state.interruptedError(nc)
	default:
	}
	select {
	case c.window <- struct{}{}:
		return nil
	default:
		return c.waitForConfirmation(ctx, nc, c.window, nil)
	}
}

// waitForConfirmation waits for room in the window, or for done, as long as
// confirmations keep coming.
func (c *publishCall) waitForConfirmation(ctx context.Context, nc *nats.Conn, room chan<- struct{}, done <-chan struct{}) error {
	for {
		select {
		case room <- struct{}{}:
			return nil
		case <-done:
			return nil
		case <-c.timer.C:
			silence := c.unconfirmedFor()
			if silence >= c.timeout {
				return fmt.Errorf("no confirmation for %v: is it a stream that takes these topics, and has its server space on its disk? %w", c.timeout, nats.ErrTimeout)
			}
			c.timer.Reset(c.timeout - silence)
		case <-c.state.changed:
			return c.state.interruptedError(nc)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unconfirmedFor is how long nothing was confirmed though something was in flight.
func (c *publishCall) unconfirmedFor() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight == 0 {
		return 0
	}
	return time.Since(c.lastConfirmed)
}

func (c *publishCall) markSent(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight == 0 {
		c.lastConfirmed = time.Now()
	}
	c.progress[i] = sent
	c.inFlight++
}

// recordConfirmation settles an event as the server says. It reads none that is settled: once all
// are, they are the caller's again.
func (c *publishCall) recordConfirmation(i int, m *nats.Msg) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.progress[i] != settled {
		c.recordReceiptLocked(i, parseConfirmation(c.events[i].Topic, m))
	}
}

// recordReceipt keeps the first receipt of an event, and makes room in the window.
func (c *publishCall) recordReceipt(i int, r bus.Receipt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.progress[i] != settled {
		c.recordReceiptLocked(i, r)
	}
}

// recordReceiptLocked is called with the lock held.
func (c *publishCall) recordReceiptLocked(i int, r bus.Receipt) {
	was := c.progress[i]
	if was == sent {
		c.inFlight--
		c.lastConfirmed = time.Now()
		<-c.window // It does not block: there is one for each event in flight.
	}
	c.receipts[i], c.progress[i] = r, settled
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

// finishReceipts gives what is left the reason why nothing more is known of it, and returns
// the receipts.
func (c *publishCall) finishReceipts(why error) ([]bus.Receipt, error) {
	if why != nil {
		unknown := bus.Receipt{Err: fmt.Errorf("jetstream: published, but not confirmed: %w", why)}
		unsent := bus.Receipt{Err: fmt.Errorf("jetstream: not published: %w", why)}
		for i := range c.events {
			if c.wasSent(i) {
				c.recordReceipt(i, unknown)
			} else {
				c.recordReceipt(i, unsent)
			}
		}
	}
	var errs []error
	for _, r := range c.receipts {
		if n := len(errs); r.Err != nil && (n == 0 || errs[n-1] != r.Err) { //nolint:errorlint // the same value once is enough
			errs = append(errs, r.Err)
		}
	}
	return c.receipts, errors.Join(errs...)
}

func (c *publishCall) wasSent(i int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.progress[i] == sent
}

// interruptedError is why what was sent in a state of the link is not confirmed in the next one.
func (s *connectionState) interruptedError(nc *nats.Conn) error {
	if nc.IsClosed() {
		return closedError(nc)
	}
	return fmt.Errorf("%w from NATS meanwhile", nats.ErrDisconnected)
}
