package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/uuid7"
	"github.com/onceish/onceish/outbox"
)

type rowAddition struct {
	*storedRow

	doc   bson.Raw
	place int // its place in the argument of AddMoved
}

type additionBatch struct {
	ids   []string      // of all, in the order of the call
	rows  []rowAddition // once each
	named bool          // some ids are the caller's
	keyed bool          // some rows have a key in common, and so an order
}

// newBatch checks rows, and gives them what they lack.
func (q *Queue) newBatch(ctx context.Context, in []outbox.Row) (*additionBatch, error) {
	at, err := q.clock.Read(driver.NewSessionContext(ctx, nil))
	if err != nil {
		return nil, err
	}
	b := &additionBatch{ids: make([]string, len(in))}
	there, keys := make(map[string]*storedRow, len(in)), make(map[string]bool, len(in))
	for i := range in {
		r := in[i]
		r.Event.Headers = q.headers.AddTo(ctx, r.Event.Headers)
		b.named = b.named || r.Event.ID != ""
		if r.Event.ID == "" {
			r.Event.ID = uuid7.New(at.Time)
		}
		s, err := newAdded(&r, i, at)
		if err != nil {
			return nil, err
		}
		b.ids[i] = s.ID
		if before := there[s.RowID]; before != nil {
			if !before.isSameEvent(s) {
				return nil, existsError(&rowAddition{storedRow: s})
			}
			continue
		}
		b.keyed = b.keyed || s.Key != "" && keys[s.Key]
		there[s.RowID], keys[s.Key] = s, true
		b.rows = append(b.rows, rowAddition{storedRow: s})
	}
	q.seq.assignSeqs(b.rows, at.Time.UnixNano())
	for i := range b.rows {
		if b.rows[i].doc, err = b.rows[i].encodeDocument(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func existsError(a *rowAddition) error {
	return fmt.Errorf("event %.64q for topic %q: %w: give it an id of its own", a.ID, a.Topic, outbox.ErrExists)
}

// joinTransaction writes the rows in the transaction of ctx. A duplicate would abort that, so rows
// whose ids are the caller's are upserted.
func (q *Queue) joinTransaction(ctx context.Context, b *additionBatch) error {
	models := make([]driver.WriteModel, len(b.rows))
	for i, a := range b.rows {
		if b.named {
			models[i] = driver.NewUpdateOneModel().SetFilter(expr.Op("_id", a.RowID)).SetUpdate(expr.Op("$setOnInsert", withoutID(a.doc))).SetUpsert(true)
		} else {
			models[i] = driver.NewInsertOneModel().SetDocument(a.doc)
		}
	}
	res, turned, err := mongoserver.Write(ctx, q.rows, models, true)
	if err != nil {
		return err
	}
	if len(turned) > 0 {
		return fmt.Errorf("event %.64q: %w", b.rows[turned[0].Index].ID, turned[0].WriteError)
	}
	if n := res.InsertedCount + res.UpsertedCount + res.MatchedCount; n != int64(len(b.rows)) {
		return fmt.Errorf("%d of %d rows were written: abort the transaction", n, len(b.rows))
	}
	if res.MatchedCount == 0 {
		return nil
	}
	_, err = q.absentRows(ctx, b.rows, existsError)
	return err
}

func withoutID(doc bson.Raw) bson.D {
	elements, _ := doc.Elements() // it is our own
	rest := make(bson.D, 0, len(elements))
	for _, e := range elements {
		if e.Key() != "_id" {
			rest = append(rest, expr.Field(e.Key(), e.Value()))
		}
	}
	return rest
}
