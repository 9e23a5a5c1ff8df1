package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/outbox"
)

// rowPlace is where a row stands among those of its hash.
type rowPlace struct {
	ID   string `bson:"_id"`
	Hash int64  `bson:"hash"`
	Seq  int64  `bson:"seq"`
}

func (a rowPlace) isBefore(b rowPlace) bool { return a.Seq < b.Seq || a.Seq == b.Seq && a.ID < b.ID }

// headOfLineFilter has the first row of each hash that may not be passed.
type headOfLineFilter map[int64]rowPlace

func (b headOfLineFilter) blockFrom(at rowPlace) {
	if first, ok := b[at.Hash]; !ok || at.isBefore(first) {
		b[at.Hash] = at
	}
}

// filterHeadOfLine leaves rows with a key out that come behind a dead row, or behind one that the
// page should have and has not: a server reads a page bit by bit, and misses what is committed
// behind where it is, while it sees what is committed ahead. A second look at the keys, begun when
// the page was read, finds all that was there before what the page has. Dead rows are looked at
// first: one that is retried meanwhile is then found pending.
func (q *Queue) filterHeadOfLine(ctx context.Context, p *pageRead) error {
	whole := p.keyHashes()
	if len(whole) == 0 {
		return nil
	}
	b := headOfLineFilter{}
	if !p.ask.PastDead {
		keyed := bson.E{Key: "key", Value: expr.Op("$gt", "")}
		if err := q.scanPlaces(ctx, outbox.Dead, bson.D{expr.Field("hash", expr.Op("$in", whole)), keyed}, b.blockFrom); err != nil {
			return err
		}
	}
	here := make(map[string]bool, len(p.Rows))
	for i := range p.Rows {
		here[p.Rows[i].ID] = true
	}
	missing := func(at rowPlace) {
		if !here[at.ID] {
			b.blockFrom(at)
		}
	}
	if n := len(whole) - 1; p.Cut && whole[n] == p.last.Hash { // of this one, all behind the page is missing from it
		part := bson.D{expr.Field("hash", p.last.Hash), expr.Field("seq", expr.Op("$lte", p.last.Seq))}
		if err := q.scanPlaces(ctx, outbox.Pending, part, missing); err != nil {
			return err
		}
		whole = whole[:n]
	}
	if len(whole) > 0 {
		if err := q.scanPlaces(ctx, outbox.Pending, bson.D{expr.Field("hash", expr.Op("$in", whole))}, missing); err != nil {
			return err
		}
	}
	p.Rows = slices.DeleteFunc(p.Rows, func(r outbox.Row) bool { return b.isBlocked(&r) })
	return nil
}

// keyHashes are those of the page's keys, ascending.
func (p *pageRead) keyHashes() (all []int64) {
	for i := range p.Rows {
		h := int64(p.Rows[i].Hash)
		if p.Rows[i].Event.Key != "" && (len(all) == 0 || all[len(all)-1] != h) {
			all = append(all, h)
		}
	}
	return all
}

func (b headOfLineFilter) isBlocked(r *outbox.Row) bool {
	at := rowPlace{ID: r.ID, Hash: int64(r.Hash), Seq: int64(r.Seq)}
	first, ok := b[at.Hash]
	return ok && r.Event.Key != "" && first.isBefore(at)
}

func (q *Queue) scanPlaces(ctx context.Context, s outbox.Status, of bson.D, each func(rowPlace)) error {
	filter := append(bson.D{expr.Field("status", s.String())}, of...)
	cur, err := q.rows.Find(ctx, filter, options.Find().SetProjection(bson.D{expr.Field("hash", 1), expr.Field("seq", 1)}).
		SetHint(byHash.Keys()).SetBatchSize(10_000))
	if err != nil {
		return err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		var at rowPlace
		if err := bson.Unmarshal(cur.Current, &at); err != nil {
			return err
		}
		each(at)
	}
	return cur.Err()
}
