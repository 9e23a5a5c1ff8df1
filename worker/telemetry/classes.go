package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// errorClasses are the classes of errors that are known, the most telling first.
var errorClasses = []struct {
	err   error
	class string
}{
	{consumer.ErrRunLimit, "run_limit"},
	{consumer.ErrLeaseLost, "lease_lost"},
	{consumer.ErrDrainTimeout, "drain_timeout"},
	{dedupe.ErrFull, "store_full"},
	{dedupe.ErrClosed, "closed"},
	{dedupe.ErrSuperseded, "superseded"},
	{dedupe.ErrCommitUnknown, "commit_unknown"},
	{dedupe.ErrTransactionAborted, "transaction_aborted"},
	{bus.ErrClosed, "closed"},
	{bus.ErrNoStream, "no_stream"},
	{bus.ErrConsumerLost, "consumer_lost"},
	{bus.ErrTooLarge, "too_large"},
	{bus.ErrInvalidEvent, "invalid_event"},
	{bus.ErrRefused, "refused"},
	{bus.ErrUnavailable, "unavailable"},
	{context.DeadlineExceeded, "timeout"},
	{context.Canceled, "canceled"},
}

// errorClass returns the error_type of an error, of which there are few; "" if it is nil.
func (m *Metrics) errorClass(err error) string {
	if err == nil {
		return ""
	}
	if class := knownClass(err); class != "" {
		return class
	}
	return m.errorTypes.admit(typeOf(err))
}

// errorTypeOf returns the error.type of an error as spans have it, which never has anything of its
// text.
func errorTypeOf(err error) string { return cmp.Or(knownClass(err), typeOf(err)) }

// knownClass returns the class of an error; "" if it has none.
func knownClass(err error) string {
	for _, known := range errorClasses {
		if errors.Is(err, known.err) {
			return known.class
		}
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "timeout"
	}
	switch {
	case consumer.IsPermanent(err):
		return "permanent"
	case consumer.IsThrottled(err):
		return "throttled"
	case consumer.IsUnavailable(err):
		return "unavailable"
	case consumer.IsSnooze(err):
		return "snoozed"
	}
	return ""
}

// maxDepth bounds how deep an error is looked into.
const maxDepth = 100

// typeOf returns the type of the innermost error that has one of its own, such as
// "mongo.CommandError".
func typeOf(err error) string {
	name := otherValue
	for range maxDepth {
		if t := strings.TrimLeft(fmt.Sprintf("%T", err), "*"); !isPlain(t) {
			name = t
		}
		switch wrapped := err.(type) { //nolint:errorlint // it goes through all of them
		case interface{ Unwrap() error }:
			err = wrapped.Unwrap()
		case interface{ Unwrap() []error }:
			inner := wrapped.Unwrap()
			if len(inner) == 0 {
				return name
			}
			err = inner[0]
		default:
			return name
		}
		if err == nil {
			return name
		}
	}
	return name
}

// isPlain reports whether a type says nothing but that something is an error.
func isPlain(name string) bool {
	return name == "errors.errorString" || name == "errors.joinError" || strings.HasPrefix(name, "fmt.wrap") || strings.HasPrefix(name, "consumer.verdict")
}

// reasonClasses are what the reasons of dead letters begin with, and the classes that these are.
var reasonClasses = []struct{ begin, class string }{
	{"permanent", "permanent"},
	{"failed", "failed"},
	{"crashed", "crashed"},
	{"too old", "too_old"},
	{"malformed", "malformed"},
	{"unidentified", "unidentified"},
	{"id_reused", "id_reused"},
	{"dropped", "dropped"},
}

// reasonClass returns the class of the reason of a dead letter.
func reasonClass(reason string) string {
	for _, known := range reasonClasses {
		if strings.HasPrefix(reason, known.begin) {
			return known.class
		}
	}
	return otherValue
}
