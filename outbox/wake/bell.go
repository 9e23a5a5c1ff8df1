package wake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/outbox"
)

var _ outbox.Watcher = (*Bell)(nil)

// Bell is rung by who adds rows, and heard by drainers. It is safe for concurrent use, and needs no
// closing: the connection is its caller's.
type Bell struct {
	nc      *nats.Conn
	subject string
}

// New returns the bell of the outbox of that name; see Subject.
func New(nc *nats.Conn, name ...string) (*Bell, error) {
	if nc == nil || len(name) == 0 {
		return nil, errors.New("wake: New needs a connection to NATS, and the name of an outbox")
	}
	return &Bell{nc: nc, subject: Subject(name...)}, nil
}

// Subject is what it is rung on.
func (b *Bell) Subject() string { return b.subject }

// Ring wakes the drainers, after rows were added, in a transaction after it has committed. It does
// not wait for the server. An error is no reason to do anything: the rows are found later.
func (b *Bell) Ring() error {
	if err := b.nc.Publish(b.subject, nil); err != nil {
		return fmt.Errorf("wake: ring %s: %w", b.subject, err)
	}
	return nil
}

// gap is the least time between two wakes: who adds many rows rings often.
const gap = 2 * time.Millisecond

// Watch implements outbox.Watcher: it calls wake when the bell was rung, until ctx ends or the
// connection is closed for good. Rings close to each other are heard as one.
func (b *Bell) Watch(ctx context.Context, wake func()) error {
	sub, err := b.nc.SubscribeSync(b.subject)
	if err != nil {
		return fmt.Errorf("wake: listen on %s: %w", b.subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // it fails where there is nothing to undo
	for {
		if _, err := sub.NextMsgWithContext(ctx); err != nil {
			return fmt.Errorf("wake: listen on %s: %w", b.subject, err)
		}
		wake()
		if err := rest(ctx); err != nil {
			return err
		}
		if err := skip(ctx, sub); err != nil {
			return fmt.Errorf("wake: listen on %s: %w", b.subject, err)
		}
	}
}

// skip hears of what was rung meanwhile all but one.
func skip(ctx context.Context, sub *nats.Subscription) error {
	pending, _, err := sub.Pending()
	for ; err == nil && pending > 1; pending-- {
		_, err = sub.NextMsgWithContext(ctx)
	}
	return err
}

func rest(ctx context.Context) error {
	timer := time.NewTimer(gap)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
