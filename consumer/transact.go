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

// lockedFor is how long a transaction that nobody ends locks what it wrote: a server of MongoDB ends it after 60 s, and looks every 30.
const lockedFor = 90 * time.Second

// transact runs the handler in the transaction that marks its claim.
func (e *engine) transact(ctx context.Context, event bus.Event, a Attempt, c dedupe.Claim) protocol.Verdict {
	began := false
	err := e.transactor.Transact(ctx, c, e.o.TTL, func(ctx context.Context) error {
		if began {
			a.Rerun++
		}
		began = true
		if err := e.handler(WithAttempt(ctx, a), event); err != nil {
			return &returned{err}
		}
		return nil
	})
	if own, ok := errors.AsType[*returned](err); ok {
		return judge(own.error)
	}
	v := judge(err)
	switch {
	case err == nil:
	case errors.Is(err, dedupe.ErrSuperseded):
		v.Kind = protocol.Superseded
	case errors.Is(err, dedupe.ErrCommitUnknown):
		v.Kind = protocol.Unknown
	case !began: // no fault of the event's
		v.Kind = protocol.Unbegun
	}
	return v
}

// returned is a handler's error on its way through the store, which looks into it for what says that the transaction may be
// run again.
type returned struct{ error }

// Unwrap hides what a verdict wraps: the handler has decided.
func (r *returned) Unwrap() error {
	if _, ok := errors.AsType[verdict](r.error); ok {
		return nil
	}
	return r.error
}

// transactorOf asks the store for its transactions, and its server whether they are any.
func transactorOf(ctx context.Context, store dedupe.Store, mode Mode) (dedupe.Transactor, error) {
	if mode != Transactional {
		return nil, nil //nolint:nilnil // the other modes have none
	}
	t, ok := store.(dedupe.Transactor)
	if !ok {
		return nil, fmt.Errorf("%w: %T. Use a store of MongoDB, or another Options.Mode", ErrNotTransactor, store)
	}
	if err := t.ProbeTransactions(ctx); err != nil {
		return nil, fmt.Errorf("Options.Mode Transactional: %w", err)
	}
	return t, nil
}

// commitTime is how long a commit may take after RunLimit, the time to find out about one that was not answered included; zero outside of
// mode Transactional.
func (o *Options) commitTime() time.Duration {
	if o.Mode != Transactional {
		return 0
	}
	return min(10*time.Second, max(time.Second, o.RunLimit/3))
}

// leastLease is what a run needs, and half as much for waiting: a claim is renewed until its run begins, at a third of the lease.
func (o *Options) leastLease() time.Duration { return (o.RunLimit + o.commitTime()) * 3 / 2 }

func (o *Options) checkTransactional() error {
	switch {
	case o.Mode != Transactional:
		return nil
	case o.RunLimit > dedupe.MaxTransaction:
		return fmt.Errorf("Options.RunLimit is %v: in mode Transactional it must be at most %v, for the server ends a transaction after 60s",
			o.RunLimit, dedupe.MaxTransaction)
	case o.Lease < o.leastLease():
		return fmt.Errorf("Options.Lease is %v: in mode Transactional it is not renewed during a run, and must be at least %v, "+
			"half as much again as RunLimit (%v) and the commit (%v)", o.Lease, o.leastLease(), o.RunLimit, o.commitTime())
	}
	return nil
}
