package mongo

import (
	"context"
	"fmt"
	"math"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/outbox"
)

// Pending implements outbox.Queue. It costs one round trip, and one or two more where
// rows have keys.
func (q *Queue) Pending(ctx context.Context, a outbox.Ask) (outbox.Page, error) {
	if a.Rows <= 0 || a.Bytes <= 0 || a.To > outbox.MaxHash || a.From > a.To {
		return outbox.Page{}, fmt.Errorf("outbox/mongo: the Ask is %+v: Rows and Bytes must be above 0, and the hashes in order and at most %d", a, uint64(outbox.MaxHash))
	}
	ctx, cancel := q.boundCall(ctx)
	defer cancel()
	p := &pageRead{ask: &a, next: a.From}
	fill := q.fillPage
	if a.From == a.To {
		fill = q.fillKey
	}
	err := fill(ctx, p)
	if err == nil {
		err = q.filterHeadOfLine(ctx, p)
	}
	if err != nil {
		return outbox.Page{}, q.callFailed("pending", err)
	}
	return p.Page, nil
}

type pageRead struct {
	outbox.Page

	ask   *outbox.Ask
	next  uint64 // the first hash not looked at
	bytes int
	last  storedRow // the last row that was taken
}

func (p *pageRead) isFull() bool { return len(p.Rows) >= p.ask.Rows || p.bytes >= p.ask.Bytes }

// takeRow takes a row, unless the page is full without it.
func (p *pageRead) takeRow(s *storedRow) bool {
	if p.isFull() {
		p.Cut = s.Hash == p.last.Hash
		return false
	}
	p.last = *s
	p.Rows = append(p.Rows, s.toRow())
	p.bytes += outbox.Size(&p.Rows[len(p.Rows)-1].Event)
	return true
}

// fillPage reads rows until the page is full, or there are none. Each step is about as wide as has
// rows for a page.
func (q *Queue) fillPage(ctx context.Context, p *pageRead) error {
	for {
		from, to := p.next, q.hashes.lastHash(p.next, p.ask.To)
		over, err := q.readStep(ctx, p, bson.D{expr.Field("hash", bson.D{expr.Field("$gte", int64(from)), expr.Field("$lte", int64(to))})})
		if err != nil {
			return err
		}
		if over {
			last := p.Rows[len(p.Rows)-1].Hash
			q.hashes.recordFound(last-from, p.distinctHashes(from), p.ask.Rows)
			p.next = last + 1
		} else {
			q.hashes.grow()
			p.next = to + 1
		}
		switch {
		case p.next > p.ask.To:
			return nil
		case over || p.isFull():
			p.Next = p.next
			return nil
		}
	}
}

// distinctHashes is how many different hashes the page has, from one on.
func (p *pageRead) distinctHashes(from uint64) (n int) {
	for i := range p.Rows {
		if h := p.Rows[i].Hash; h >= from && (i == 0 || h != p.Rows[i-1].Hash) {
			n++
		}
	}
	return n
}

// fillKey reads rows of one hash until the page is full, or there are none.
func (q *Queue) fillKey(ctx context.Context, p *pageRead) error {
	hash, after := p.ask.From, int64(-1)
	for try := 0; ; try++ {
		until := q.seqs.lastSeq(hash, after, try)
		over, err := q.readStep(ctx, p, bson.D{expr.Field("hash", int64(hash)), expr.Field("seq", bson.D{expr.Field("$gt", after), expr.Field("$lte", until)})})
		switch {
		case err != nil:
			return err
		case over:
			q.seqs.recordPage(hash, int64(p.Rows[0].Seq), p.last.Seq)
			return nil
		case until == math.MaxInt64:
			return nil
		case p.isFull():
			p.Cut = true
			return nil
		}
		after = until
	}
}

// readStep reads rows. over: there are more than the page takes.
func (q *Queue) readStep(ctx context.Context, p *pageRead, of bson.D) (over bool, err error) {
	most := min(p.ask.Rows-len(p.Rows), 1<<20) + 1 // one more shows that there are more
	err = q.readRows(ctx, bson.A{
		expr.Op("$match", append(bson.D{expr.Field("status", outbox.Pending.String())}, of...)),
		expr.Op("$sort", bson.D{expr.Field("hash", 1), expr.Field("seq", 1), expr.Field("_id", 1)}),
		expr.Op("$limit", most),
	}, most, func(s *storedRow) bool {
		over = !p.takeRow(s)
		return !over
	})
	return over, err
}
