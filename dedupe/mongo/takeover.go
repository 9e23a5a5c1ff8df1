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

// move turns a row that was read into the claim of a request, provided that nothing has
// touched it since.
type move struct {
	*pending
	row    *row
	update bson.A
	won    dedupe.Claim // HeldFor is the whole lease
}

// resolve answers requests whose rows are there already. Returned are those that have to ask again:
// their row is not to be seen, or somebody else was faster to take it over.
func (s *Store) resolve(ctx context.Context, taken []*pending) ([]*pending, error) {
	if len(taken) == 0 {
		return nil, nil
	}
	rows, err := read(ctx, s.acked, ids(taken))
	if err != nil {
		return nil, err
	}
	var absent []*pending
	var moves []*move
	for _, p := range taken {
		r, ok := rows[p.id]
		if !ok {
			absent = append(absent, p)
			continue
		}
		s.warnUnknown(r)
		if m := p.judge(r); m != nil {
			moves = append(moves, m)
		}
	}
	locked, plain := partition(moves)
	lost, err := s.take(ctx, plain)
	if err != nil {
		return nil, err
	}
	faster, err := s.seize(ctx, locked)
	return slices.Concat(absent, lost, faster), err
}

// partition tells those rows which a transaction may lock from the others. Both are in the order of
// their ids, as every command has them.
func partition(moves []*move) (lockable, plain []*move) {
	slices.SortFunc(moves, func(a, b *move) int { return strings.Compare(a.id, b.id) })
	for _, m := range moves {
		if m.row.lockable() {
			lockable = append(lockable, m)
		} else {
			plain = append(plain, m)
		}
	}
	return lockable, plain
}

// judge answers from the row, or returns the move that would win it. What is over when it is read
// stays so, on the one clock of the server, unless the row is touched; and then the move misses.
func (p *pending) judge(r *row) *move {
	switch {
	case r.expired():
		return p.startOver(r)
	case !r.known():
		*p.claim = dedupe.Claim{Key: p.req.Key, State: dedupe.Held, Nonce: p.req.Nonce, HeldFor: newerFor}
		return nil
	}
	step, state := dedupe.DecideClaim(r.phase, r.owner == p.req.Nonce, r.hash, r.left(), p.req.Hash)
	switch step {
	case dedupe.RenewClaim:
		return p.move(r, state, r.token, bson.A{expr.Set(p.lease()...)}) // applied before, and its answer was lost
	case dedupe.TakeOver:
		return p.takeOver(r, state)
	case dedupe.LeaveRow, dedupe.CreateRow:
	}
	*p.claim = r.claim(p.req, state)
	return nil
}

// lease is what every move writes.
func (p *pending) lease() []bson.E {
	return []bson.E{expr.Field("lease_until", expr.NowPlus(p.req.Lease)), expr.Field("expireAt", expr.NowPlus(p.req.TTL))}
}

func (p *pending) owner(r *row) []bson.E {
	return append(p.lease(), expr.Field("owner", expr.Literal(p.req.Nonce)), expr.Field("token", r.token+1))
}

// startOver makes a claim of an expired row, as if it were absent. Only the token goes on.
func (p *pending) startOver(r *row) *move {
	fields := append(p.owner(r), expr.Field("state", dedupe.PhaseClaimed.String()), expr.Field("attempts", int32(0)), expr.Field("crashes", int32(0)), expr.Field("since", expr.Now))
	gone := []string{"reason", "letter", "session"}
	if len(p.req.Hash) > 0 {
		fields = append(fields, expr.Field("hash", expr.Literal(p.req.Hash)))
	} else {
		gone = append(gone, "hash")
	}
	fresh := &row{raw: r.raw, id: r.id, token: r.token, phase: r.phase, session: r.session}
	return p.move(fresh, dedupe.Fresh, r.token+1, bson.A{expr.Set(fields...), expr.Unset(gone...)})
}

// takeOver makes the request the owner of what is free and due, of what is claimed by somebody
// whose lease is over, which counts as a crash, or of a dead letter that its owner left unstored.
func (p *pending) takeOver(r *row, state dedupe.State) *move {
	if state == dedupe.DeadLettering {
		return p.move(r, state, r.token+1, bson.A{expr.Set(p.owner(r)...)})
	}
	fields := append(p.owner(r), expr.Field("state", dedupe.PhaseClaimed.String()))
	if r.phase == dedupe.PhaseClaimed {
		r.crashes++
		fields = append(fields, expr.Field("crashes", r.crashes))
	}
	if r.since == 0 { // reopened
		fields = append(fields, expr.Field("since", expr.Now))
	}
	if len(r.hash) == 0 && len(p.req.Hash) > 0 {
		fields = append(fields, expr.Field("hash", expr.Literal(p.req.Hash)))
	}
	update := bson.A{expr.Set(fields...)}
	if len(r.session) > 0 {
		update = append(update, expr.Unset("session"))
	}
	return p.move(r, dedupe.Fresh, r.token+1, update)
}

func (p *pending) move(r *row, s dedupe.State, token int64, update bson.A) *move {
	c := r.claim(p.req, s)
	c.Token, c.HeldFor = uint64(max(0, token)), p.req.Lease
	if len(c.Hash) == 0 {
		c.Hash = p.req.Hash
	}
	if s == dedupe.DeadLettering {
		c.Reason, c.Letter = r.reason, r.letter
	}
	return &move{pending: p, row: r, update: update, won: c}
}

// take makes the moves in one command. Where the server counts fewer than there are, the rows are
// read back. Returned are those that somebody else was faster with.
func (s *Store) take(ctx context.Context, moves []*move) ([]*pending, error) {
	if len(moves) == 0 {
		return nil, nil
	}
	sent := s.clock.Local()
	models := make([]driver.WriteModel, len(moves))
	for i, m := range moves {
		models[i] = driver.NewUpdateOneModel().SetFilter(m.row.pin()).SetUpdate(m.update).SetHint(expr.ByID())
	}
	res, turned, err := s.write(ctx, models)
	if err != nil {
		return nil, err
	}
	var back map[string]*row
	if int(res.MatchedCount) < len(moves) {
		if back, err = read(ctx, s.own, moved(moves)); err != nil {
			return nil, err
		}
	}
	elapsed := s.clock.Local().Sub(sent)
	for _, e := range turned {
		moves[e.Index].fail(s.turnedDown(e.WriteError))
	}
	var lost []*pending
	for _, m := range moves {
		switch {
		case m.claim.Err != nil:
		case back == nil || m.is(back[m.id]):
			*m.claim = m.won
			m.claim.HeldFor = max(0, m.won.HeldFor-elapsed)
		default:
			lost = append(lost, m.pending)
		}
	}
	return lost, nil
}

// is reports whether the row, as it was read back, is what the move made of it.
func (m *move) is(r *row) bool {
	return r.leasedBy(m.req.Nonce) && uint64(max(0, r.token)) == m.won.Token && r.left() > 0
}

func moved(moves []*move) []string {
	out := make([]string, len(moves))
	for i, m := range moves {
		out[i] = m.id
	}
	return out
}
