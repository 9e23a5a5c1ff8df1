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

// commitOutcome of a transaction, as the row tells it.
type commitOutcome uint8

const (
	// commitOpen: the claim is unmarked and ours; the commit may be still to come.
	commitOpen commitOutcome = iota
	// commitDone: the mark is there.
	commitDone
	// commitSuperseded: the row is another's, which it could not be before the
	// transaction was over.
	commitSuperseded
)

// commitUntilKnown ends a transaction. A commit that was not answered may be done, or be done yet:
// it is sent again, and the mark is looked for, until either tells, or the lease is over.
func (t *claimTransaction) commitUntilKnown(ctx context.Context) (again bool, err error) {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), t.end)
	defer cancel()
	for try := 0; ; try++ {
		err := t.commitOnce(ctx)
		if err == nil {
			return false, nil
		}
		if hasLabel(err, cameToNothing) && !hasLabel(err, mayBeDone) {
			if t.vanished++; !mongoserver.HasCode(err, noSuchTransaction) {
				t.vanished = 0
			}
			return true, t.store.callFailed("commit", err)
		}
		o, unread := t.readOutcome(ctx)
		switch {
		case unread == nil && o == commitDone:
			return false, nil
		case unread == nil && o == commitSuperseded:
			return false, t.store.callFailed("commit", fmt.Errorf("%w: %w", dedupe.ErrSuperseded, err))
		case unread == nil && serverAnswered(err):
			return false, t.store.callFailed("commit", err)
		case mongoserver.Pause(ctx, try) != nil:
			return false, t.store.callFailed("commit", fmt.Errorf("%w: %w", dedupe.ErrCommitUnknown, errors.Join(err, unread)))
		}
	}
}

// commitOnce takes at most half of the time that is left, so that some is left to find out.
func (t *claimTransaction) commitOnce(ctx context.Context) error {
	ctx, cancel := t.halfTimeLeft(ctx)
	defer cancel()
	return t.session.CommitTransaction(ctx)
}

// readOutcome reads what a majority has of the row.
func (t *claimTransaction) readOutcome(ctx context.Context) (commitOutcome, error) {
	ctx, cancel := t.halfTimeLeft(driver.NewSessionContext(ctx, nil))
	defer cancel()
	id := keyID(t.claim.Key)
	rows, err := readRows(ctx, t.store.acked, []string{id})
	if err != nil {
		return commitOpen, err
	}
	r := rows[id]
	switch {
	case r.isAbsent() || t.claim.Nonce == "" || r.owner != t.claim.Nonce:
	case r.phase == dedupe.PhaseClaimed:
		return commitOpen, nil
	case r.phase == dedupe.PhaseDone:
		return commitDone, nil
	}
	return commitSuperseded, nil
}

func (t *claimTransaction) halfTimeLeft(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, min(t.store.timeout, time.Until(t.end)/2))
}

// serverAnswered: the server has said no, and is not at work on it any more.
func serverAnswered(err error) bool {
	e, ok := errors.AsType[driver.CommandError](err)
	return ok && e.Code != 0 && !e.HasErrorLabel(mayBeDone) && !driver.IsTimeout(err) && !driver.IsNetworkError(err)
}
