package consumer

import (
	"errors"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

type verdict struct {
	cause error
	kind  protocol.VerdictKind
	after time.Duration
}

// Error is the cause's message.
func (v verdict) Error() string {
	if v.cause == nil {
		return "snoozed for " + v.after.String()
	}
	return v.cause.Error()
}

// Unwrap returns the cause.
func (v verdict) Unwrap() error { return v.cause }

// Permanent says that trying again will not help: the event is dead-lettered with err as its reason. It is found through
// wrapping. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return verdict{cause: err, kind: protocol.Permanent}
}

// RetryAfter has the event come again after d instead of the backoff. It counts as a failure. RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return verdict{cause: err, kind: protocol.Failure, after: max(d, 0)}
}

// Snooze has the event come again after d, and counts no attempt. An event that snoozes on is given up at half the TTL of its
// marks (3.5 days by default); a snooze that would end later is cut.
func Snooze(d time.Duration) error { return verdict{kind: protocol.Snooze, after: max(d, 0)} }

// IsPermanent finds the verdict through wrapping.
func IsPermanent(err error) bool {
	v, ok := errors.AsType[verdict](err)
	return ok && v.kind == protocol.Permanent
}

// judge reads a handler's error.
func judge(err error) protocol.Verdict {
	if err == nil {
		return protocol.Verdict{Kind: protocol.Success}
	}
	out := protocol.Verdict{Kind: protocol.Failure, Err: err, Error: err.Error()}
	if v, ok := errors.AsType[verdict](err); ok {
		out.Kind, out.After, out.Timed = v.kind, v.after, v.kind != protocol.Permanent
	}
	return out
}
