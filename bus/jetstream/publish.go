package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

// Publish implements bus.Publisher. Events are pipelined. It fails at once while the connection is
// down, when it goes down, and when no confirmation came for Options.PublishTimeout. No stream for
// an event's topic is ErrNoStream; for a moment that is also so while the stream has no leader.
func (b *Bus) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	if len(events) == 0 {
		return nil, nil
	}
	p := &b.pub
	state := b.link.current()
	if !state.up {
		state = b.link.refreshState()
	}
	c := newCall(events, p.window, state, b.o.PublishTimeout)
	defer c.timer.Stop()
	prefix, err := p.registerCall(c)
	if err == nil {
		err = b.publishEvents(ctx, c, prefix)
	}
	if err == nil {
		err = c.waitForConfirmation(ctx, b.nc, nil, c.done)
	}
	p.forgetCall(c)
	return c.finishReceipts(err)
}

// publishEvents publishes a call's events as the window has room for them.
func (b *Bus) publishEvents(ctx context.Context, c *publishCall, prefix string) error {
	enc := newEncoder()
	reply := []byte(prefix)
	for i := range c.events {
		msg, err := enc.encode(&c.events[i])
		if err != nil {
			c.recordReceipt(i, bus.Receipt{Err: err})
			continue
		}
		if err := c.reserveSlot(ctx, b.nc); err != nil {
			return err
		}
		c.markSent(i)
		reply = strconv.AppendInt(reply[:len(prefix)], int64(i), 10)
		msg.Reply = string(reply)
		if err := b.nc.PublishMsg(msg); err != nil {
			c.recordReceipt(i, bus.Receipt{Err: b.wrapPublishError(msg, err)})
		}
	}
	return nil
}

func (b *Bus) wrapPublishError(m *nats.Msg, err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("jetstream: publish to %q: %w: %d bytes with headers, the server takes %d: %w", m.Subject, bus.ErrTooLarge, m.Size()-len(m.Subject)-len(m.Reply), b.nc.MaxPayload(), err)
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("jetstream: publish to %q: %w", m.Subject, closedError(b.nc))
	}
	return fmt.Errorf("jetstream: publish to %q: %w", m.Subject, err)
}

// confirmationInbox hands the server's confirmations to the calls of Publish that wait for them.
// They come to one inbox.
type confirmationInbox struct {
	b      *Bus
	window chan struct{} // holds one for each event on its way

	mu     sync.Mutex
	prefix string // of the inbox
	sub    *nats.Subscription
	closed bool
	calls  map[uint64]*publishCall
	last   uint64
}

func (p *confirmationInbox) init(b *Bus) {
	p.b, p.window, p.calls = b, make(chan struct{}, b.o.PublishWindow), map[uint64]*publishCall{}
}

// registerCall makes a call known, and returns what its replies begin with.
func (p *confirmationInbox) registerCall(c *publishCall) (string, error) {
	if err := c.state.sendError(p.b.nc); err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.subscribeLocked(); err != nil {
		return "", fmt.Errorf("subscribe an inbox for confirmations: %w", err)
	}
	p.last++
	c.number = p.last
	p.calls[c.number] = c
	return p.prefix + strconv.FormatUint(c.number, 10) + ".", nil
}

func (p *confirmationInbox) subscribeLocked() error {
	switch {
	case p.closed:
		return fmt.Errorf("%w: Bus.Close was called", bus.ErrClosed)
	case p.sub != nil:
		return nil
	}
	prefix := p.b.nc.NewInbox() + "."
	sub, err := p.b.nc.Subscribe(prefix+"*.*", p.routeConfirmation)
	if err != nil {
		return err
	}
	p.prefix, p.sub = prefix, sub
	return sub.SetPendingLimits(-1, -1)
}

func (p *confirmationInbox) forgetCall(c *publishCall) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, c.number)
}

func (p *confirmationInbox) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.sub != nil {
		_ = p.sub.Unsubscribe() // It fails when the connection is closed, and then there is nothing to end.
		p.sub = nil
	}
}

// routeConfirmation takes a confirmation to its call. One that comes too late finds none.
func (p *confirmationInbox) routeConfirmation(m *nats.Msg) {
	numbers := m.Subject[min(len(p.prefix), len(m.Subject)):]
	first, second, _ := strings.Cut(numbers, ".")
	number, ok := parseNumber(first)
	index, valid := parseNumber(second)
	if !ok || !valid {
		return
	}
	p.mu.Lock()
	c := p.calls[number]
	p.mu.Unlock()
	if c != nil && index < uint64(len(c.events)) {
		c.recordConfirmation(int(index), m) // #nosec G115 -- a valid index
	}
}
