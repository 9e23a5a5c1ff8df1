package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// runInTransaction runs the handler in the transaction that marks its claim.
func (e *engine) runInTransaction(ctx context.Context, event bus.Event, a Attempt, c dedupe.Claim) protocol.Verdict {
	began := false
	err := e.transactor.Transact(ctx, c, e.o.transactionLease(), e.o.TTL, func(ctx context.Context) error {
		if began {
			a.Rerun++
		}
		began = true
		if err := e.handler(WithAttempt(ctx, a), event); err != nil {
			return &handlerError{err}
		}
		return nil
	})
	return e.transactionVerdict(a.Key, began, err)
}

// transactionVerdict is the verdict of a run whose transaction ended with err.
func (e *engine) transactionVerdict(key dedupe.Key, began bool, err error) protocol.Verdict {
	switch {
	case err == nil:
		return verdictOf(nil)
	case errors.Is(err, dedupe.ErrTransactionAborted):
		e.o.Logger.Warn("transaction given up by the server; the event will run again and no attempt is counted",
			"key", key.String(), "error", err)
		return protocol.Verdict{Kind: protocol.Conflicted, Err: err, Error: err.Error()}
	case errors.Is(err, dedupe.ErrCommittedEarly):
		e.o.Logger.Error("handler committed its transaction itself; the event is marked, and what the handler wrote after its commit was outside of the transaction",
			"key", key.String(), "error", err)
		return verdictOf(nil)
	case errors.Is(err, dedupe.ErrTransactionEnded):
		return protocol.Verdict{Kind: protocol.Permanent, Err: err, Error: err.Error()}
	}
	if own, ok := errors.AsType[*handlerError](err); ok {
		return verdictOf(own.error)
	}
	v := verdictOf(err)
	switch {
	case errors.Is(err, dedupe.ErrSuperseded):
		v.Kind = protocol.Superseded
	case errors.Is(err, dedupe.ErrCommitUnknown):
		v.Kind = protocol.Unknown
	case !began: // no fault of the event's
		v.Kind = protocol.NotBegun
	}
	return v
}

// handlerError is a handler's error on its way through the store, which looks into it for an error
// that allows the transaction to be run again.
type handlerError struct{ error }

// Unwrap hides the error that a verdict wraps: the handler has decided.
func (r *handlerError) Unwrap() error {
	if _, ok := errors.AsType[verdictError](r.error); ok {
		return nil
	}
	return r.error
}

// transactorOf returns the store as a Transactor after a probe of its server; nil in other modes.
func transactorOf(ctx context.Context, store dedupe.Store, mode Mode, o *observers) (dedupe.Transactor, error) {
	if mode != Transactional {
		return nil, nil //nolint:nilnil // the other modes have none
	}
	t, ok := store.(dedupe.Transactor)
	if !ok {
		return nil, fmt.Errorf("%w: %T. Use a store of MongoDB, or another Options.Mode", ErrNotTransactor, store)
	}
	t = o.observeTransactor(t)
	if err := t.ProbeTransactions(ctx); err != nil {
		return nil, fmt.Errorf("Options.Mode Transactional: %w", err)
	}
	return t, nil
}

// commitTime is how long a commit may take after RunLimit, including the time to find out about one
// that was not answered. It is zero outside of mode Transactional.
func (o *Options) commitTime() time.Duration {
	if o.Mode != Transactional {
		return 0
	}
	return min(10*time.Second, max(time.Second, o.RunLimit/3))
}

// transactionLease is for how long a claim is renewed when its transaction begins and
// locks its row.
func (o *Options) transactionLease() time.Duration { return o.RunLimit + o.commitTime() }

func (o *Options) checkTransactional() error {
	switch {
	case o.Mode != Transactional:
		return nil
	case o.RunLimit > dedupe.MaxTransaction:
		return fmt.Errorf("Options.RunLimit is %v: in mode Transactional it must be at most %v, for the server ends a transaction after 60s",
			o.RunLimit, dedupe.MaxTransaction)
	case o.TTL <= o.transactionLease():
		return fmt.Errorf("Options.TTL is %v: in mode Transactional it must be longer than %v, which RunLimit (%v) and the commit (%v) take together",
			o.TTL, o.transactionLease(), o.RunLimit, o.commitTime())
	}
	return nil
}
