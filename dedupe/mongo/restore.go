package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
)

// lostRow is the row of a claim that is gone, or expired: it is written again, unless somebody
// else is faster.
type lostRow struct {
	item    int // its place in the argument of the call
	id      string
	expired *storedRow // what is still there of it; nil: nothing
	// document is the row as it is to be, at a time of the server's.
	document func(at serverclock.Instant) bson.D

	foundRow *storedRow // what is there after restore had no luck with it
}

// changeClaims makes changes of claims, whose rows have the ids. Where the server counts fewer, a
// row that is gone is written again as restored says, and judge says what the others come to.
func (s *Store) changeClaims(
	ctx context.Context, changes []*rowChange, ids []string, errs []error,
	restored func(i int, expired *storedRow) func(serverclock.Instant) bson.D, judge func(i int, r *storedRow) error,
) error {
	matched, err := s.applyChanges(ctx, changes, errs)
	if err != nil || matched == len(ids) {
		return err
	}
	rows, err := readRows(ctx, s.own, ids)
	if err != nil {
		return err
	}
	var gone []*lostRow
	for i, id := range ids {
		r := rows[id]
		switch why := judge(i, r); {
		case errs[i] != nil:
		case r.isAbsent() && errors.Is(why, errUncounted):
			gone = append(gone, &lostRow{item: i, id: id, expired: r, document: restored(i, r)})
		default:
			errs[i] = why
		}
	}
	back, err := s.restoreRows(ctx, gone, errs)
	for _, l := range back {
		errs[l.item] = judge(l.item, l.foundRow)
	}
	return err
}

// restoreRows writes rows again, in one command. Returned are those that are to be judged by the
// row that is there instead. Those that the server refuses get their error in errs.
func (s *Store) restoreRows(ctx context.Context, all []*lostRow, errs []error) ([]*lostRow, error) {
	if len(all) == 0 {
		return nil, nil
	}
	at, err := s.clock.Read(ctx)
	if err != nil {
		return nil, err
	}
	models := make([]driver.WriteModel, len(all))
	for i, l := range all {
		if l.expired == nil {
			models[i] = driver.NewInsertOneModel().SetDocument(l.document(at))
		} else {
			models[i] = driver.NewReplaceOneModel().SetFilter(l.expired.unchangedFilter()).SetReplacement(l.document(at)).SetHint(expr.ByID())
		}
	}
	res, turned, err := s.writeEach(ctx, models)
	if err != nil || int(res.InsertedCount+res.MatchedCount) == len(all) {
		return nil, err
	}
	refused := make(map[*lostRow]bool)
	for _, e := range turned {
		if l := all[e.Index]; !mongoserver.Duplicate(e.WriteError) {
			errs[l.item], refused[l] = s.itemError(e.WriteError), true
		}
	}
	return s.readLost(ctx, all, refused)
}

// readLost finds out what is there of rows that were to be written again.
func (s *Store) readLost(ctx context.Context, all []*lostRow, refused map[*lostRow]bool) (back []*lostRow, err error) {
	rows, err := readRows(ctx, s.own, mapEach(all, func(l *lostRow) string { return l.id }))
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if l.foundRow = rows[l.id]; !refused[l] {
			back = append(back, l)
		}
	}
	return back, nil
}

// claimRow is the row of a claim as its owner knows it, without state, lease and expiry. Its token
// is no smaller than an expired one's.
func claimRow(c *dedupe.Claim, id string, expired *storedRow, at serverclock.Instant) bson.D {
	token := int64(c.Token) // it came from one
	if expired != nil {
		token = max(token, expired.token)
	}
	d := bson.D{
		expr.Field("_id", id), expr.Field("owner", c.Nonce), expr.Field("token", token),
		expr.Field("attempts", int64(max(0, c.Attempts))), expr.Field("crashes", int64(max(0, c.Crashes))),
		expr.Field("since", at.Time.Add(-max(0, c.Age))),
	}
	if len(c.Hash) > 0 {
		d = append(d, expr.Field("hash", c.Hash))
	}
	if len(c.History) > 0 {
		d = append(d, expr.Field("history", historyArray(c.History)))
	}
	if c.Note != "" {
		d = append(d, expr.Field("note", c.Note))
	}
	return d
}

// leasedRow is what an extension leaves of an absent row.
func leasedRow(c *dedupe.Claim, id string, expired *storedRow, lease, ttl time.Duration) func(at serverclock.Instant) bson.D {
	return func(at serverclock.Instant) bson.D {
		d := append(claimRow(c, id, expired, at), expr.Field("lease_until", at.Until(lease)), expr.Field("expireAt", at.Until(ttl)))
		if c.State != dedupe.DeadLettering {
			return append(d, expr.Field("state", dedupe.PhaseClaimed.String()))
		}
		return append(d, expr.Field("state", dedupe.PhaseDeadLettering.String()), expr.Field("reason", keptReason(c.Reason)), expr.Field("letter", c.Letter))
	}
}

// settledRow is what a settlement leaves of an absent row.
func settledRow(t *dedupe.Settlement, id string, expired *storedRow) func(at serverclock.Instant) bson.D {
	return func(at serverclock.Instant) bson.D {
		c := t.Claim
		if t.AddsAttempt() {
			c.Attempts = max(0, c.Attempts) + 1
		}
		c.History = dedupe.AppendAttempt(c.History, t.Attempt)
		d := append(claimRow(&c, id, expired, at), expr.Field("expireAt", at.Until(t.TTL)), expr.Field("state", t.Outcome.To().String()))
		switch t.Outcome {
		case dedupe.Failed, dedupe.NotBegun:
			d = append(d, expr.Field("lease_until", at.Until(max(0, t.After))))
		case dedupe.GivenUp:
			d = append(d, expr.Field("lease_until", at.Until(t.Lease)), expr.Field("reason", keptReason(t.Reason)), expr.Field("letter", t.Letter))
		case dedupe.Succeeded, dedupe.DeadLettered:
		}
		return d
	}
}
