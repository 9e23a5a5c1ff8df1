package bus

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Scheduler is an ability of a Bus, found by assertion: it keeps events and publishes them later.
// Its methods are safe for concurrent use, block for a few round trips, and do not retry.
//
// An event that is published when it is due is the event that Publish would have stored: to
// consumers it has the same identity, and its control headers hold. Only the bus itself does not
// recognise it as a duplicate of what it stored lately. Events that are due at the same time are
// stored in no particular order, also if they have one Key. An outbox has more to offer: see
// outbox.At.
//
// errors.ErrUnsupported is returned where events of the topic cannot be scheduled: the server or
// its stream does not do it, or would lose them. The message says why, and what to do.
type Scheduler interface {
	// Schedule keeps events that are published at a time, or later, by the bus's clock. A time that
	// has come means at once; one that is more than MaxDelay ahead is ErrTooFar. Receipts are those
	// of Publisher.Publish, but their sequences are not the events'. Of one topic and Identity
	// there is one event that waits: a repeated call replaces it, also with another time. A repeat
	// after it was published has it published again, which consumers recognise.
	Schedule(ctx context.Context, t time.Time, events ...Event) ([]Receipt, error)
	// Scheduled returns events of a topic, which may be a pattern, that wait for their time, and no
	// more than limit, in no particular order. What is published meanwhile may be among them.
	Scheduled(ctx context.Context, pattern string, limit int) ([]ScheduledEvent, error)
	// CancelScheduled takes back the event of a topic with this Identity, which is its ID unless it
	// has a Source. Nil: it waited, and is not published. ErrNotScheduled: it does not wait; it was
	// published, is about to be, or was never scheduled. After another error either may be so.
	CancelScheduled(ctx context.Context, topic, identity string) error
}

// ScheduledEvent is an event that waits for its time.
type ScheduledEvent struct {
	Event Event
	// Due is from when on it is published, by the bus's clock.
	Due time.Time
}

// MaxDelay is how far ahead an event can be scheduled: what is due later is a mistake more likely
// than a plan.
const MaxDelay = 10 * 365 * 24 * time.Hour

// CheckDue returns ErrTooFar if a time is more than MaxDelay from now.
func CheckDue(t, now time.Time) error {
	if t.Sub(now) <= MaxDelay {
		return nil
	}
	return fmt.Errorf("%w: %s is more than %d years from now: check the time", ErrTooFar, t.UTC().Format(time.RFC3339), MaxDelay/(365*24*time.Hour))
}

var (
	// ErrTooFar is returned when an event is to be due in more than MaxDelay.
	ErrTooFar = errors.New("due too far ahead")
	// ErrNotScheduled is returned by Scheduler.CancelScheduled when no such event waits.
	ErrNotScheduled = errors.New("no such event is scheduled")
)
