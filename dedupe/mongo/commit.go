package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
)

// outcome of a transaction, as the row tells it.
type outcome uint8

const (
	// open: the claim is unmarked and ours; the commit may be still to come.
	open outcome = iota
	// committed: the mark is there.
	committed
	// superseded: the row is another's, which it could not be before the transaction was over.
	superseded
)

// commit ends a transaction. A commit that was not answered may be done, or be done yet: it is sent
// again, and the mark is looked for, until either tells, or the lease is over.
func (t *transaction) commit(ctx context.Context) (again bool, err error) {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), t.end)
	defer cancel()
	for try := 0; ; try++ {
		err := t.commitOnce(ctx)
		if err == nil {
			return false, nil
		}
		if labelled(err, cameToNothing) && !labelled(err, mayBeDone) {
			t.countVanished(err)
			return true, t.store.failed("commit", err)
		}
		o, unread := t.outcome(ctx)
		switch {
		case unread == nil && o == committed:
			return false, nil
		case unread == nil && o == superseded:
			return false, t.store.failed("commit", fmt.Errorf("%w: %w", dedupe.ErrSuperseded, err))
		case unread == nil && answered(err):
			return false, t.store.failed("commit", err)
		case mongoserver.Pause(ctx, try) != nil:
			return false, t.store.failed("commit", fmt.Errorf("%w: %w", dedupe.ErrCommitUnknown, errors.Join(err, unread)))
		}
	}
}

// commitOnce takes at most half of the time that is left, so that some is left to find out.
func (t *transaction) commitOnce(ctx context.Context) error {
	ctx, cancel := t.half(ctx)
	defer cancel()
	return t.session.CommitTransaction(ctx)
}

// countVanished counts the commits in a row for which there was no transaction any more.
func (t *transaction) countVanished(err error) {
	if hasCode(err, noSuchTransaction) {
		t.vanished++
	} else {
		t.vanished = 0
	}
}

// outcome reads what a majority has of the row.
func (t *transaction) outcome(ctx context.Context) (outcome, error) {
	ctx, cancel := t.half(driver.NewSessionContext(ctx, nil))
	defer cancel()
	id := keyID(t.claim.Key)
	rows, err := read(ctx, t.store.acked, []string{id})
	if err != nil {
		return open, err
	}
	r := rows[id]
	switch {
	case r == nil || r.expired() || t.claim.Nonce == "" || r.owner != t.claim.Nonce:
		return superseded, nil
	case r.phase == dedupe.PhaseClaimed:
		return open, nil
	case r.phase == dedupe.PhaseDone:
		return committed, nil
	}
	return superseded, nil
}

func (t *transaction) half(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, min(t.store.timeout, time.Until(t.end)/2))
}

// answered: the server has said no, and is not at work on it any more.
func answered(err error) bool {
	e, ok := errors.AsType[driver.CommandError](err)
	return ok && e.Code != 0 && !e.HasErrorLabel(mayBeDone) && !driver.IsTimeout(err) && !driver.IsNetworkError(err)
}
