package mongo

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

const (
	// maxSeized is how many claims of ended transactions one call takes over, at a few round trips
	// each. The others are soon asked for again, and fresh claims wait for no more than that.
	maxSeized = 16
	// lockedFor is answered as HeldFor for a row that is locked and whose lock cannot be ended: the
	// server ends it after transactionLifetimeLimitSeconds.
	lockedFor = time.Second
)

// seizeResult is what became of an attempt to take over a row that may be locked.
type seizeResult uint8

const (
	rowSeized  seizeResult = iota
	rowTouched             // somebody else has touched the row
	rowLocked              // by a transaction that is still open
)

// seizeLocked makes the moves of rows that a transaction may still lock. A plain update would wait
// for the lock, up to a minute, and all claims of the process with it; in a transaction of its own
// it is turned down at once. Whoever holds the lock has no lease any more: its session is ended,
// and the move made again. Where the server does not let us, the claim is held until the server
// itself has ended the transaction.
func (s *Store) seizeLocked(ctx context.Context, moves []*rowMove) (lost []*pendingClaim, err error) {
	for _, m := range moves[min(maxSeized, len(moves)):] {
		m.holdFor(heldBriefly)
	}
	moves = moves[:min(maxSeized, len(moves))]
	seizeEach := func(moves []*rowMove) (locked []*rowMove, err error) {
		for _, m := range moves {
			switch how, err := s.seizeOne(ctx, m); {
			case err != nil:
				return nil, err
			case how == rowLocked:
				locked = append(locked, m)
			case how == rowTouched:
				lost = append(lost, m.pendingClaim)
			}
		}
		return locked, nil
	}
	locked, err := seizeEach(moves)
	switch {
	case mongoserver.HasCode(err, illegalOperation): // the server has no transactions, so none locks the rows
		return s.applyMoves(ctx, moves)
	case err != nil || len(locked) == 0:
		return lost, err
	}
	sessions := mapEach(locked, func(m *rowMove) any { return m.row.session })
	if err := s.killSessions(ctx, sessions); err != nil && !serverAnswered(err) {
		return nil, err
	}
	locked, err = seizeEach(locked)
	for _, m := range locked {
		m.holdFor(lockedFor)
	}
	return lost, err
}

// seizeOne makes one move in a transaction. An error says nothing of it: the request is repeated,
// and finds its claim if it was committed.
func (s *Store) seizeOne(ctx context.Context, m *rowMove) (seizeResult, error) {
	sent := s.clock.Local()
	sess, err := s.own.Database().Client().StartSession()
	if err != nil {
		return rowTouched, err
	}
	defer endSession(ctx, sess)
	if err := startTransaction(sess); err != nil {
		return rowTouched, err
	}
	res, err := s.own.UpdateOne(driver.NewSessionContext(ctx, sess), m.row.unchangedFilter(), m.update, options.UpdateOne().SetHint(expr.ByID()))
	if err != nil || res.MatchedCount == 0 {
		s.abortTransaction(ctx, sess)
		if err == nil {
			return rowTouched, nil
		}
		return classifySeizeError(err)
	}
	if err := sess.CommitTransaction(ctx); err != nil {
		return classifySeizeError(err)
	}
	*m.claim = m.wonClaim
	m.claim.HeldFor = max(0, m.wonClaim.HeldFor-s.clock.Local().Sub(sent))
	return rowSeized, nil
}

// classifySeizeError separates a lock from errors that say nothing of the row.
func classifySeizeError(err error) (seizeResult, error) {
	if hasLabel(err, cameToNothing) && !hasLabel(err, mayBeDone) && serverAnswered(err) {
		return rowLocked, nil
	}
	return rowTouched, err
}

// endLocking ends the transactions that a settlement has waited for: those of its own claims whose
// abort the server did not hear. The settlement is repeated in any case, and waits no longer than
// it would have.
func (s *Store) endLocking(ctx context.Context, ss []dedupe.Settlement, failure error) {
	if !driver.IsTimeout(failure) {
		return
	}
	ctx, cancel := s.boundCall(context.WithoutCancel(ctx))
	defer cancel()
	owners := make(map[string]string, len(ss))
	for i := range ss {
		owners[keyID(ss[i].Claim.Key)] = ss[i].Claim.Nonce
	}
	var sessions bson.A
	for some := range slices.Chunk(slices.Collect(maps.Keys(owners)), maxBatch) {
		rows, err := readRows(ctx, s.own, some)
		if err != nil {
			return
		}
		for id, r := range rows {
			if r.isLockable() && r.owner == owners[id] {
				sessions = append(sessions, r.session)
			}
		}
	}
	if len(sessions) > 0 {
		_ = s.killSessions(ctx, sessions) // where it may not, the server does it in time
	}
}
