package consumer

import (
	"errors"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

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

// Permanent says that trying again will not help: the event is dead-lettered with err as its
// reason. It is found through wrapping. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return verdictError{cause: err, kind: protocol.Permanent}
}

// RetryAfter has the event come again after d instead of the backoff. It counts as a failure.
// RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return verdictError{cause: err, kind: protocol.Failure, after: max(d, 0), timed: true}
}

// Snooze has the event come again after d, and counts no attempt. An event that snoozes on is given
// up at half the TTL of its marks (3.5 days by default); a snooze that would end later is cut.
func Snooze(d time.Duration) error {
	return verdictError{kind: protocol.Snooze, after: max(d, 0), timed: true}
}

// Throttled says that whoever the handler called is there and asks to slow down. No attempt is
// counted. The event comes again after d and up to as much time again, so that not all come at
// once; without a d, after Options.Backoff.Base, doubling with each time in a row. Meanwhile the
// subscription starts fewer handlers. An event that is throttled on and on is given up after
// Options.GiveUp. Throttled(d, nil) is nil.
func Throttled(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return verdictError{cause: err, kind: protocol.Throttled, after: max(d, 0), timed: d > 0}
}

// Unavailable says that the handler failed, and that this may be nobody's fault but the
// environment's: no connection, no answer in time, or a refusal that every event may meet, such as
// a wrong key. The first such failure of an event is no attempt. A later one is judged as err says
// (an attempt; Permanent; RetryAfter) if a run of another event began and succeeded between the
// two, and no other event has failed so since: then it is the event's own. Else it is no attempt
// either, until Options.GiveUp. After five in a row without a success, only one event at a time is
// run as a probe, until one succeeds (Subscription.Healthy). Unavailable(nil) is nil.
//
// What is known of earlier failures is kept in the process, for 10,000 events.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return verdictError{cause: err, kind: protocol.Unavailable}
}

// IsPermanent finds the verdict through wrapping.
func IsPermanent(err error) bool { return isVerdict(err, protocol.Permanent) }

// IsThrottled finds the verdict through wrapping.
func IsThrottled(err error) bool { return isVerdict(err, protocol.Throttled) }

// IsUnavailable finds the verdict through wrapping.
func IsUnavailable(err error) bool { return isVerdict(err, protocol.Unavailable) }

func isVerdict(err error, kind protocol.VerdictKind) bool {
	v, ok := errors.AsType[verdictError](err)
	return ok && v.kind == kind
}

// verdictOf reads a handler's error.
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
