package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
)

// markTries bounds how often a mark runs after a row that comes and goes.
const markTries = 6

// Seen implements [dedupe.Store], in one round trip.
func (s *Store) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	return inBatches(ctx, s, "seen", keys, func(ctx context.Context, keys []dedupe.Key, records []dedupe.Record) error {
		ids := mapEach(keys, keyID)
		rows, err := readRows(ctx, s.acked, ids)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if r, ok := rows[id]; ok {
				s.warnUnknownState(r)
				records[i] = r.toRecord()
			}
		}
		return nil
	})
}

// Mark implements [dedupe.Store]. New keys cost one round trip together, and what is written
// over one more.
func (s *Store) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	of := make([]*markWrite, len(marks))
	ws := make([]*markWrite, 0, len(marks))
	last := make(map[string]*markWrite, len(marks))
	for i := range marks {
		m := &marks[i]
		if err := checkMark(m); err != nil {
			return nil, fmt.Errorf("dedupe/mongo: mark: mark %d of %d: %w", i+1, len(marks), err)
		}
		if err := dedupe.CheckHash(m.Hash); err != nil {
			of[i] = &markWrite{err: err}
			continue
		}
		id := keyID(m.Key)
		w, ok := last[id]
		if !ok {
			w = &markWrite{id: id}
			last[id] = w
			ws = append(ws, w)
		}
		w.mark, of[i] = m, w
	}
	slices.SortFunc(ws, func(a, b *markWrite) int { return strings.Compare(a.id, b.id) }) // see insertFresh
	ctx, cancel := s.boundCall(ctx)
	defer cancel()
	for from := 0; from < len(ws); from += maxBatch {
		if err := s.markBatch(ctx, ws[from:min(from+maxBatch, len(ws))]); err != nil {
			return nil, s.callFailed("mark", err)
		}
	}
	return mapEach(of, func(w *markWrite) error { return w.err }), nil
}

func checkMark(m *dedupe.Mark) error {
	switch {
	case m.State != dedupe.Done && m.State != dedupe.Dead:
		return fmt.Errorf("the State is %v; it must be done or dead", m.State)
	case m.TTL <= 0:
		return fmt.Errorf("the TTL is %v; it must be positive", m.TTL)
	}
	return nil
}

type markWrite struct {
	id   string
	mark *dedupe.Mark
	err  error // why it was not stored
}

func (w *markWrite) setError(why error) { w.err = why }

// markBatch inserts, and writes over what is there already. A row that has gone in between
// is inserted again: an upsert would do both, but loses races in ways that differ from
// server to server.
func (s *Store) markBatch(ctx context.Context, ws []*markWrite) error {
	for try := range markTries {
		at, err := s.clock.Read(ctx)
		if err != nil {
			return err
		}
		taken, err := insertNew(ctx, s, "marks", ws, func(w *markWrite) bson.D { return w.newDocument(at) }, (*markWrite).setError)
		if err != nil || len(taken) == 0 {
			return err
		}
		matched, err := s.overwriteMarks(ctx, taken)
		if err != nil || matched {
			return err
		}
		ws = slices.DeleteFunc(taken, func(w *markWrite) bool { return w.err != nil })
		if err := mongoserver.Pause(ctx, try); err != nil {
			return err
		}
	}
	for _, w := range ws {
		w.err = fmt.Errorf("row %s came and went %d times while it was to be marked", w.id, markTries)
	}
	return nil
}

// overwriteMarks reports whether every row was there to be written over, but for those that the
// server has turned down.
func (s *Store) overwriteMarks(ctx context.Context, ws []*markWrite) (bool, error) {
	models := mapEach(ws, func(w *markWrite) driver.WriteModel {
		return driver.NewUpdateOneModel().SetFilter(bson.D{expr.Field("_id", w.id)}).SetUpdate(w.overwriteUpdate())
	})
	res, turned, err := s.writeEach(ctx, models)
	if err != nil {
		return false, err
	}
	for _, e := range turned {
		ws[e.Index].err = s.itemError(e.WriteError)
	}
	return int(res.MatchedCount)+len(turned) >= len(ws), nil
}

func (w *markWrite) newDocument(at serverclock.Instant) bson.D {
	d := bson.D{
		expr.Field("_id", w.id),
		expr.Field("state", w.mark.State.String()),
		expr.Field("token", int64(1)),
		expr.Field("expireAt", at.Until(w.mark.TTL)),
	}
	if len(w.mark.Hash) > 0 {
		d = append(d, expr.Field("hash", w.mark.Hash))
	}
	return d
}

// overwriteUpdate replaces whatever is there. The token stays, so that it never goes back; the
// owner goes, and with it every claim.
func (w *markWrite) overwriteUpdate() bson.A {
	d := bson.D{
		expr.Field("_id", "$_id"),
		expr.Field("state", w.mark.State.String()),
		expr.Field("token", expr.Plus("token", int64(0))),
		expr.Field("expireAt", expr.NowPlus(w.mark.TTL)),
	}
	if len(w.mark.Hash) > 0 {
		d = append(d, expr.Field("hash", expr.Literal(w.mark.Hash)))
	}
	return bson.A{bson.D{expr.Field("$replaceWith", d)}}
}
