package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/internal/backoff"
	"github.com/onceish/onceish/outbox"
)

var _ outbox.Watcher = (*Notifier)(nil)

// Notifier notifies the drainers of an outbox, and watches for such notifications. It is safe for
// concurrent use and needs no closing: the connection stays the caller's.
type Notifier struct {
	nc      *nats.Conn
	subject string
}

// New returns the notifier of the outbox of that name; see Subject.
func New(nc *nats.Conn, name ...string) (*Notifier, error) {
	if nc == nil || len(name) == 0 {
		return nil, errors.New("notify: New needs a connection to NATS, and the name of an outbox")
	}
	return &Notifier{nc: nc, subject: Subject(name...)}, nil
}

// Subject returns the subject of the notifications.
func (n *Notifier) Subject() string { return n.subject }

// Notify wakes the drainers. Call it after rows were added; where that was in a transaction, after
// its commit. It does not wait for the server. An error needs no handling: the rows are found
// later.
func (n *Notifier) Notify() error {
	if err := n.nc.Publish(n.subject, nil); err != nil {
		return fmt.Errorf("notify: publish to %s: %w", n.subject, err)
	}
	return nil
}

// minInterval is the least time between two wakes. A writer that adds many rows notifies often.
const minInterval = 2 * time.Millisecond

// Watch implements outbox.Watcher: it calls wake after a notification, until ctx ends or the
// connection is closed for good. Notifications close to each other are one.
func (n *Notifier) Watch(ctx context.Context, wake func()) error {
	sub, err := n.nc.SubscribeSync(n.subject)
	if err != nil {
		return fmt.Errorf("notify: subscribe to %s: %w", n.subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // it fails where there is nothing to undo
	for {
		if _, err := sub.NextMsgWithContext(ctx); err != nil {
			return fmt.Errorf("notify: receive from %s: %w", n.subject, err)
		}
		wake()
		if err := backoff.Sleep(ctx, minInterval); err != nil {
			return err
		}
		if err := skipPending(ctx, sub); err != nil {
			return fmt.Errorf("notify: receive from %s: %w", n.subject, err)
		}
	}
}

// skipPending drops all notifications that have arrived meanwhile but the last one.
func skipPending(ctx context.Context, sub *nats.Subscription) error {
	pending, _, err := sub.Pending()
	for ; err == nil && pending > 1; pending-- {
		_, err = sub.NextMsgWithContext(ctx)
	}
	return err
}
