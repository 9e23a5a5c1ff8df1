package consumertest

import (
	"context"
	"errors"
	"fmt"
)

// Call calls f, as a call of a handler to something else: another service, a database, a file. ctx
// is the handler's, or derived from it. In CrashPoints it is a crash point before and after f. It
// may fail, and its answer may be lost: then Call returns an error with the method Timeout that
// wraps context.DeadlineExceeded, without or after calling f. The name is how the report calls it.
// Outside of a run of the kit Call does nothing but call f. It is safe for concurrent use. It
// belongs into the fakes of a test: a program that calls it would link package testing.
//
// A process that has crashed in its Call gets an error once the run is over.
func Call(ctx context.Context, name string, f func(context.Context) error) error {
	r := handlerRunFrom(ctx)
	if r == nil {
		return f(ctx)
	}
	if err := r.reach(beforeCall, name); err != nil {
		if errors.Is(err, errProcessDied) {
			r.process.refuseCall()
		}
		return err
	}
	err := f(ctx)
	if r.hasReturned.Load() {
		r.process.world.noteLateCall(step{kind: callSucceeded, event: r.event, call: name})
	}
	if err == nil {
		err = r.reach(callSucceeded, name)
	}
	if stepErr := r.reach(afterCall, name); stepErr != nil {
		return stepErr
	}
	return err
}

// timeoutError is what a step returns that was not done, or whose answer is lost.
type timeoutError struct {
	at      step
	wasDone bool
}

// Error says what was done.
func (e *timeoutError) Error() string {
	if !e.wasDone {
		return fmt.Sprintf("consumertest: %v, which was not made: %v", point{failCall, e.at}, context.DeadlineExceeded)
	}
	return fmt.Sprintf("consumertest: %v was done, and its answer was lost: %v", e.at, context.DeadlineExceeded)
}

// Unwrap returns context.DeadlineExceeded.
func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }

// Timeout reports true, as net.Error does of a time-out.
func (e *timeoutError) Timeout() bool { return true }

// Temporary reports true. It makes the error a net.Error.
func (e *timeoutError) Temporary() bool { return true }
