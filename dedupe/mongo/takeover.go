package mongo

import (
	"context"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// rowMove turns a row that was read into the claim of a request, provided that nothing has
// touched it since.
type rowMove struct {
	*pendingClaim
	row      *storedRow
	update   bson.A
	wonClaim dedupe.Claim // HeldFor is the whole lease
}

// resolveTaken answers requests whose rows are there already. Returned are those that have to
// retry: their row is not to be seen, or somebody else was faster to take it over.
func (s *Store) resolveTaken(ctx context.Context, taken []*pendingClaim) ([]*pendingClaim, error) {
	if len(taken) == 0 {
		return nil, nil
	}
	rows, err := readRows(ctx, s.acked, mapEach(taken, (*pendingClaim).rowID))
	if err != nil {
		return nil, err
	}
	var absent []*pendingClaim
	var moves []*rowMove
	for _, p := range taken {
		r, ok := rows[p.id]
		if !ok {
			absent = append(absent, p)
			continue
		}
		s.warnUnknownState(r)
		if m := p.decideFromRow(r); m != nil {
			moves = append(moves, m)
		}
	}
	locked, plain := splitLockable(moves)
	lost, err := s.applyMoves(ctx, plain)
	if err != nil {
		return nil, err
	}
	faster, err := s.seizeLocked(ctx, locked)
	return slices.Concat(absent, lost, faster), err
}

// splitLockable separates the rows that a transaction may lock from the others. Both are in the
// order of their ids, as every command has them.
func splitLockable(moves []*rowMove) (lockable, plain []*rowMove) {
	slices.SortFunc(moves, func(a, b *rowMove) int { return strings.Compare(a.id, b.id) })
	for _, m := range moves {
		if m.row.isLockable() {
			lockable = append(lockable, m)
		} else {
			plain = append(plain, m)
		}
	}
	return lockable, plain
}

// decideFromRow answers from the row, or returns the move that would win it. What is over
// when it is read stays so, on the one clock of the server, unless the row is touched; and
// then the move misses.
func (p *pendingClaim) decideFromRow(r *storedRow) *rowMove {
	switch {
	case r.isExpired():
		return p.startOver(r)
	case !r.isKnown():
		p.holdFor(newerFor)
		return nil
	}
	step, state := dedupe.DecideClaim(r.phase, r.owner == p.request.Nonce, r.hash, r.timeLeft(), p.request.Hash)
	switch step {
	case dedupe.RenewClaim:
		return p.newMove(r, state, r.token, bson.A{expr.Set(p.leaseFields()...)}) // applied before, and its answer was lost
	case dedupe.TakeOver:
		return p.takeOver(r, state)
	case dedupe.LeaveRow, dedupe.CreateRow:
	}
	*p.claim = r.toClaim(p.request, state)
	return nil
}

// leaseFields returns what every move writes.
func (p *pendingClaim) leaseFields() []bson.E {
	return []bson.E{expr.Field("lease_until", expr.NowPlus(p.request.Lease)), expr.Field("expireAt", expr.NowPlus(p.request.TTL))}
}

func (p *pendingClaim) ownerFields(r *storedRow) []bson.E {
	return append(p.leaseFields(), expr.Field("owner", expr.Literal(p.request.Nonce)), expr.Field("token", r.token+1))
}

// startOver makes a claim of an expired row, as if it were absent. Only the token goes on.
func (p *pendingClaim) startOver(r *storedRow) *rowMove {
	fields := append(p.ownerFields(r), expr.Field("state", dedupe.PhaseClaimed.String()), expr.Field("attempts", int32(0)), expr.Field("crashes", int32(0)), expr.Field("since", expr.Now))
	gone := []string{"reason", "letter", "session"}
	if len(p.request.Hash) > 0 {
		fields = append(fields, expr.Field("hash", expr.Literal(p.request.Hash)))
	} else {
		gone = append(gone, "hash")
	}
	if !r.history.IsZero() {
		gone = append(gone, "history")
	}
	if r.note != "" {
		gone = append(gone, "note")
	}
	fresh := &storedRow{raw: r.raw, id: r.id, token: r.token, phase: r.phase, session: r.session}
	return p.newMove(fresh, dedupe.Fresh, r.token+1, bson.A{expr.Set(fields...), expr.Unset(gone...)})
}

// takeOver makes the request the owner of what is free and due, of what is claimed by somebody
// whose lease is over, which counts as a crash, or of a dead letter that its owner left unstored.
func (p *pendingClaim) takeOver(r *storedRow, state dedupe.State) *rowMove {
	if state == dedupe.DeadLettering {
		return p.newMove(r, state, r.token+1, bson.A{expr.Set(p.ownerFields(r)...)})
	}
	fields := append(p.ownerFields(r), expr.Field("state", dedupe.PhaseClaimed.String()))
	if r.phase == dedupe.PhaseClaimed {
		r.crashes++
		fields = append(fields, expr.Field("crashes", r.crashes))
	}
	if r.since == 0 { // reopened
		fields = append(fields, expr.Field("since", expr.Now))
	}
	if len(r.hash) == 0 && len(p.request.Hash) > 0 {
		fields = append(fields, expr.Field("hash", expr.Literal(p.request.Hash)))
	}
	update := bson.A{expr.Set(fields...)}
	if len(r.session) > 0 {
		update = append(update, expr.Unset("session"))
	}
	return p.newMove(r, dedupe.Fresh, r.token+1, update)
}

func (p *pendingClaim) newMove(r *storedRow, s dedupe.State, token int64, update bson.A) *rowMove {
	c := r.toClaim(p.request, s)
	c.Token, c.HeldFor, c.History = uint64(max(0, token)), p.request.Lease, readHistory(r.history)
	if len(c.Hash) == 0 {
		c.Hash = p.request.Hash
	}
	if s == dedupe.DeadLettering {
		c.Reason, c.Letter = r.reason, r.letter
	}
	return &rowMove{pendingClaim: p, row: r, update: update, wonClaim: c}
}

// applyMoves makes the moves in one command. Where the server counts fewer than there are, the rows
// are read back. Returned are those that somebody else was faster with.
func (s *Store) applyMoves(ctx context.Context, moves []*rowMove) ([]*pendingClaim, error) {
	if len(moves) == 0 {
		return nil, nil
	}
	sent := s.clock.Local()
	models := mapEach(moves, func(m *rowMove) driver.WriteModel {
		return driver.NewUpdateOneModel().SetFilter(m.row.unchangedFilter()).SetUpdate(m.update).SetHint(expr.ByID())
	})
	res, turned, err := s.writeEach(ctx, models)
	if err != nil {
		return nil, err
	}
	var back map[string]*storedRow
	if int(res.MatchedCount) < len(moves) {
		if back, err = readRows(ctx, s.own, mapEach(moves, (*rowMove).rowID)); err != nil {
			return nil, err
		}
	}
	elapsed := s.clock.Local().Sub(sent)
	for _, e := range turned {
		moves[e.Index].setError(s.itemError(e.WriteError))
	}
	var lost []*pendingClaim
	for _, m := range moves {
		switch {
		case m.claim.Err != nil:
		case back == nil || m.matches(back[m.id]):
			*m.claim = m.wonClaim
			m.claim.HeldFor = max(0, m.wonClaim.HeldFor-elapsed)
		default:
			lost = append(lost, m.pendingClaim)
		}
	}
	return lost, nil
}

// matches reports whether the row, as it was read back, is what the move made of it.
func (m *rowMove) matches(r *storedRow) bool {
	return r.leasedBy(m.request.Nonce) && uint64(max(0, r.token)) == m.wonClaim.Token && r.timeLeft() > 0
}
