package consumer

import (
	"errors"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

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

// Permanent marks an error that a retry would not help: the event is dead-lettered with err as its
// reason. Permanent is found through wrapping. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return verdictError{cause: err, kind: protocol.Permanent}
}

// RetryAfter has the event retried after d instead of the backoff. It counts as a failure.
// RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return verdictError{cause: err, kind: protocol.Failure, after: max(d, 0), timed: true}
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
	if err == nil {
		return nil
	}
	return verdictError{cause: err, kind: protocol.Throttled, after: max(d, 0), timed: d > 0}
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
	if err == nil {
		return nil
	}
	return verdictError{cause: err, kind: protocol.Unavailable}
}

// IsPermanent reports whether err is Permanent, also through wrapping.
func IsPermanent(err error) bool { return isVerdict(err, protocol.Permanent) }

// IsThrottled reports whether err is Throttled, also through wrapping.
func IsThrottled(err error) bool { return isVerdict(err, protocol.Throttled) }

// IsUnavailable reports whether err is Unavailable, also through wrapping.
func IsUnavailable(err error) bool { return isVerdict(err, protocol.Unavailable) }

func isVerdict(err error, kind protocol.VerdictKind) bool {
	v, ok := errors.AsType[verdictError](err)
	return ok && v.kind == kind
}

// verdictOf is the verdict of a run whose handler returned err.
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
