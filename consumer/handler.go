package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// Handler makes an event's effect. It returns nil once the effect is made, and an error to have the
// event retried; Permanent, RetryAfter, Snooze, Throttled and Unavailable say how. A panic is an
// error. Many goroutines call a Handler at once, each for another event.
//
// ctx ends when the claim is lost, at the run limit, and when draining takes too long;
// context.Cause says which. A handler that does not end with its ctx keeps its slot, and may
// overlap the event's next run.
type Handler func(ctx context.Context, e bus.Event) error

// Middleware wraps a Handler.
type Middleware func(Handler) Handler

// JSON returns a Handler that decodes an event's data into T and calls f. An event whose data does
// not decode is dead-lettered, not retried.
func JSON[T any](f func(ctx context.Context, e bus.Event, v T) error) Handler {
	return func(ctx context.Context, e bus.Event) error {
		var v T
		if err := json.Unmarshal(e.Data, &v); err != nil {
			return Permanent(fmt.Errorf("decode the data as %T: %w", v, err))
		}
		return f(ctx, e, v)
	}
}

// Attempt describes a run to its handler.
type Attempt struct {
	// Number is 1 at first, and one more for each run that ended in a failure. Runs that were
	// Throttled, or Unavailable through no fault of the event, do not count: a handler that returns
	// Throttled until Number grows does so until Options.GiveUp.
	Number int
	// Rerun is how often this attempt was run before and aborted by the server, in mode
	// Transactional. Each run is a new transaction; effects outside of it are made again.
	Rerun int
	// Token is the fencing token of the claim. It grows with every takeover of the event: a larger
	// one is a later owner's. 0 in mode SeenMark.
	Token uint64
	// IdempotencyKey is the same for every attempt and every copy of the event in this group, but
	// for copies that run again on purpose (bus.Control.Again), which have one for each scope. Pass
	// it to the services that the handler calls.
	IdempotencyKey string
	// Key is what the store knows the event by.
	Key dedupe.Key
	// Copied reports that the event was published once more on purpose: redriven, replayed, or
	// republished from an outbox.
	Copied bool
	// Crashes is how many claims of the event ended by their lease alone. 0 in mode SeenMark.
	Crashes int
	// At is the position of the delivery that the run is for.
	At bus.Position
	// Original is the position of the event that this is a copy of, where the copy was redriven or
	// replayed to the group, and At otherwise. It is the event's place in the order of the stream.
	Original bus.Position
	// Note is what an earlier run of the event has kept by KeepNote. Empty: nothing.
	Note string

	notes *runNotes // nil: none can be kept
}

type attemptKey struct{}

// AttemptFrom returns the Attempt of a handler's context, or the zero Attempt of any other.
func AttemptFrom(ctx context.Context) Attempt {
	a, _ := ctx.Value(attemptKey{}).(Attempt)
	return a
}

// RequireAttempt is AttemptFrom for a handler that needs an idempotency key: without an Attempt it
// returns ErrNoAttempt.
func RequireAttempt(ctx context.Context) (Attempt, error) {
	a := AttemptFrom(ctx)
	if a.IdempotencyKey == "" && a.Key == (dedupe.Key{}) {
		return a, ErrNoAttempt
	}
	return a, nil
}

// WithAttempt returns a context for a test of a handler: that of a new run of the event of a.Key,
// as dedupe.RunFrom finds it.
func WithAttempt(ctx context.Context, a Attempt) context.Context {
	if a.Key != (dedupe.Key{}) {
		ctx = dedupe.WithRun(ctx, dedupe.NewRun(a.Key))
	}
	return context.WithValue(ctx, attemptKey{}, a)
}

// verdictError is a handler's error with what is to become of the event.
type verdictError struct {
	cause error
	kind  protocol.VerdictKind
	after time.Duration
	timed bool
}

// Error is the cause's message.
func (v verdictError) Error() string {
	if v.cause == nil {
		return "snoozed for " + v.after.String()
	}
	return v.cause.Error()
}

// Unwrap returns the cause.
func (v verdictError) Unwrap() error { return v.cause }

// newVerdict returns a verdict on an error; nil if there is no error.
func newVerdict(v verdictError) error {
	if v.cause == nil {
		return nil
	}
	return v
}

// Permanent marks an error that a retry would not help: the event is dead-lettered with err as its
// reason. Permanent is found through wrapping. Permanent(nil) is nil.
func Permanent(err error) error {
	return newVerdict(verdictError{cause: err, kind: protocol.Permanent})
}

// RetryAfter has the event retried after d instead of the backoff. It counts as a failure.
// RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	return newVerdict(verdictError{cause: err, kind: protocol.Failure, after: max(d, 0), timed: true})
}

// Snooze asks for a later run, after d, and counts no attempt. An event that goes on snoozing is
// dead-lettered at half the TTL of its marks (3.5 days by default); a snooze that would end later
// is shortened.
func Snooze(d time.Duration) error {
	return verdictError{kind: protocol.Snooze, after: max(d, 0), timed: true}
}

// Throttled says that the receiver is there and asks to slow down. No attempt is counted. The event
// is retried after d and up to as much time again, so that not all events are retried at once;
// without a d, after Options.Backoff.Base, doubling with each time in a row. Meanwhile the
// subscription starts fewer handlers. An event that goes on being throttled is dead-lettered after
// Options.GiveUp. Throttled(d, nil) is nil.
func Throttled(d time.Duration, err error) error {
	return newVerdict(verdictError{cause: err, kind: protocol.Throttled, after: max(d, 0), timed: d > 0})
}

// Unavailable says that the handler failed, perhaps because of its environment: no connection, no
// answer in time, or a refusal that every event may meet, such as a wrong key. The first such
// failure of an event is no attempt. A later one counts as err says (an attempt; Permanent;
// RetryAfter) if a run of another event began and succeeded between the two, and no other event has
// failed so since: then it is the event's own. Otherwise it is no attempt either, until
// Options.GiveUp. After five in a row without a success, one event at a time is run as a probe
// until one succeeds (Subscription.Healthy). Unavailable(nil) is nil.
//
// Earlier failures are remembered by the process, for 10,000 events.
func Unavailable(err error) error {
	return newVerdict(verdictError{cause: err, kind: protocol.Unavailable})
}

// IsPermanent reports whether err is Permanent, also through wrapping.
func IsPermanent(err error) bool { return isVerdict(err, protocol.Permanent) }

// IsThrottled reports whether err is Throttled, also through wrapping.
func IsThrottled(err error) bool { return isVerdict(err, protocol.Throttled) }

// IsUnavailable reports whether err is Unavailable, also through wrapping.
func IsUnavailable(err error) bool { return isVerdict(err, protocol.Unavailable) }

// IsSnooze reports whether err is a Snooze, also through wrapping.
func IsSnooze(err error) bool { return isVerdict(err, protocol.Snooze) }

func isVerdict(err error, kind protocol.VerdictKind) bool {
	v, ok := errors.AsType[verdictError](err)
	return ok && v.kind == kind
}

// BlamesReceiver reports whether a run that ended with err tells against what the handler calls: a
// failure, or Unavailable. Errors that are Permanent, Throttled or a Snooze do not, nor do runs
// that were called off (context.Canceled). It is what a breaker counts.
func BlamesReceiver(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	kind := verdictOf(err).Kind
	return kind == protocol.Failure || kind == protocol.Unavailable
}

// verdictOf is the verdict of a run whose handler returned err: Success if that is nil.
func verdictOf(err error) protocol.Verdict {
	if err == nil {
		return protocol.Verdict{Kind: protocol.Success}
	}
	out := protocol.Verdict{Kind: protocol.Failure, Err: err, Error: err.Error()}
	if v, ok := errors.AsType[verdictError](err); ok {
		out.Kind, out.After, out.Timed = v.kind, v.after, v.timed
		if v.kind == protocol.Unavailable {
			own := verdictOf(v.cause)
			out.Own, out.After, out.Timed = own.Kind, own.After, own.Timed
		}
	}
	return out
}
