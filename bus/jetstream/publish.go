package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/natsrequest"
)

// Publish implements bus.Publisher. Events are pipelined. It fails at once while the connection is
// down, when it goes down, and when no confirmation came for Options.PublishTimeout. No stream for
// an event's topic is ErrNoStream; for a moment that is also so while the stream has no leader. A
// topic that begins with '$', or as the API does (Options.APIPrefix), is ErrInvalidEvent: what is
// published there changes the server.
func (b *Bus) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	if len(events) == 0 {
		return nil, nil
	}
	observe := b.publishObserver.Load()
	if observe == nil {
		return b.publishAll(ctx, events, nil)
	}
	began := time.Now()
	receipts, err := b.publishAll(ctx, events, nil)
	(*observe)(events, receipts, time.Since(began))
	return receipts, err
}

// publishAll publishes events, each in a message that change may change. Nil: none is.
func (b *Bus) publishAll(ctx context.Context, events []bus.Event, change func(*nats.Msg, *bus.Event)) ([]bus.Receipt, error) {
	receipts := make([]bus.Receipt, len(events))
	state := b.link.current()
	if !state.up {
		state = b.link.refreshState()
	}
	if err := b.link.sendError(state); err != nil {
		return receipts, failReceipts(receipts, fmt.Errorf("jetstream: not published: %w", err))
	}
	batch, err := b.confirmations.Open(len(events), b.o.PublishTimeout)
	if err != nil {
		return receipts, failReceipts(receipts, fmt.Errorf("jetstream: not published: %w", b.publishingEnded(err)))
	}
	defer batch.Close()
	if err = b.publishEvents(ctx, batch, events, receipts, change); err == nil {
		err = batch.Wait(ctx)
	}
	if err != nil {
		err = b.publishingEnded(err)
	}
	readReceipts(batch, events, receipts, err)
	return receipts, joinReceiptErrors(receipts)
}

// publishEvents publishes events as the window has room for them. One that cannot be sent gets
// its receipt.
func (b *Bus) publishEvents(
	ctx context.Context, batch *natsrequest.Batch, events []bus.Event, receipts []bus.Receipt, change func(*nats.Msg, *bus.Event),
) error {
	enc := newEncoder(b.api)
	for i := range events {
		msg, err := enc.encode(&events[i])
		if err != nil {
			receipts[i].Err = err
			continue
		}
		if change != nil {
			change(msg, &events[i])
		}
		if err := batch.Reserve(ctx); err != nil {
			return err
		}
		if err := batch.Send(i, msg); err != nil {
			receipts[i].Err = b.wrapPublishError(msg, err)
		}
	}
	return nil
}

func (b *Bus) wrapPublishError(m *nats.Msg, err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("jetstream: publish to %q: %w: %d bytes with headers, the server takes %d: %w", m.Subject, bus.ErrTooLarge, m.Size()-len(m.Subject)-len(m.Reply), b.nc.MaxPayload(), err)
	}
	return b.wrapRequestError(fmt.Sprintf("publish to %q", m.Subject), err)
}

// publishingEnded is why not everything was confirmed.
func (b *Bus) publishingEnded(err error) error {
	switch {
	case errors.Is(err, natsrequest.ErrSilent):
		return fmt.Errorf("no confirmation for %v: is it a stream that takes these topics, and has its server space on its disk? %w", b.o.PublishTimeout, nats.ErrTimeout)
	case errors.Is(err, natsrequest.ErrClosed):
		return fmt.Errorf("%w: Bus.Close was called", bus.ErrClosed)
	case b.nc.IsClosed():
		return closedError(b.nc)
	case errors.Is(err, natsrequest.ErrInterrupted):
		return fmt.Errorf("%w from NATS meanwhile", nats.ErrDisconnected)
	}
	return err
}

// readReceipts reads what the server said of each event. What it said nothing of failed for the
// reason why.
func readReceipts(batch *natsrequest.Batch, events []bus.Event, receipts []bus.Receipt, why error) {
	var unknown, unsent error
	if why != nil {
		unknown = fmt.Errorf("jetstream: published, but not confirmed: %w", why)
		unsent = fmt.Errorf("jetstream: not published: %w", why)
	}
	for i := range receipts {
		switch answer, sent := batch.Answer(i); {
		case receipts[i].Err != nil:
		case answer != nil:
			receipts[i] = parseConfirmation(events[i].Topic, answer)
		case sent:
			receipts[i].Err = unknown
		default:
			receipts[i].Err = unsent
		}
	}
}

func failReceipts(receipts []bus.Receipt, why error) error {
	for i := range receipts {
		receipts[i].Err = why
	}
	return why
}

// joinReceiptErrors has the same error in a row once.
func joinReceiptErrors(receipts []bus.Receipt) error {
	var errs []error
	for _, r := range receipts {
		if r.Err != nil {
			errs = append(errs, r.Err)
		}
	}
	return errors.Join(slices.Compact(errs)...)
}
