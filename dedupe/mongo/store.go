package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
)

var (
	_ dedupe.Store       = (*Store)(nil)
	_ dedupe.Claimer     = (*Store)(nil)
	_ dedupe.Inspector   = (*Store)(nil)
	_ dedupe.Noter       = (*Store)(nil)
	_ dedupe.Reopener    = (*Store)(nil)
	_ dedupe.Transactor  = (*Store)(nil)
	_ dedupe.Watermarker = (*Store)(nil)

	_ dedupe.GroupRemover = (*Store)(nil)
)

// maxBatch bounds the rows of one command; longer arguments are worked off one after the other.
const maxBatch = 1000

// Store keeps dedupe state in a collection. It is safe for concurrent use, starts no goroutine, and
// needs no closing: the client is its caller's.
type Store struct {
	// acked reads what an event may be acknowledged on: what a majority has.
	acked *driver.Collection
	// own writes, and reads what was just written.
	own     *driver.Collection
	clock   *serverclock.Clock
	timeout time.Duration
	concern *writeconcern.WriteConcern
	log     *slog.Logger
	warned  atomic.Bool // of a row in an unknown state
}

// New returns the store in coll, whose own concerns and preferences do not matter, after it has
// made sure of the collection and its TTL index. ErrCollection: it cannot serve as it is. It may be
// called by many processes at once.
func New(ctx context.Context, coll *driver.Collection, o *Options) (*Store, error) {
	if coll == nil {
		return nil, errors.New("dedupe/mongo: the collection is nil")
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{acked: mongoserver.Own(coll, readconcern.Majority(), opts.WriteConcern), timeout: opts.Timeout, concern: opts.WriteConcern, log: opts.Logger}
	s.own = s.acked
	if opts.WriteConcern.W != "majority" { // a majority read does not see at once what was written
		s.own = mongoserver.Own(coll, readconcern.Local(), opts.WriteConcern)
	}
	s.clock = mongoserver.NewClock(s.own.Database(), opts.now)
	ctx, cancel := s.boundCall(ctx)
	defer cancel()
	if err := Layout().Ensure(ctx, s.own); err != nil {
		return nil, fmt.Errorf("dedupe/mongo: %s.%s: %w", coll.Database().Name(), coll.Name(), err)
	}
	if _, err := s.clock.Read(ctx); err != nil {
		return nil, s.callFailed("start", err)
	}
	return s, nil
}

// Layout is what New makes sure of: an index by which the server removes rows that have expired.
func Layout() *mongoserver.Layout {
	return &mongoserver.Layout{Unfit: ErrCollection, Indexes: []mongoserver.Index{{Fields: []string{"expireAt"}, Expires: true}}}
}

// boundCall bounds a call. A transaction of the caller's is left out: what it aborts must not take
// a claim or a mark with it.
func (s *Store) boundCall(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(driver.NewSessionContext(ctx, nil), s.timeout)
}

// callFailed names the call. After an error the server may be another, with another clock; not when
// it only says that two writes met.
func (s *Store) callFailed(call string, err error) error {
	if !conflictsWithAnother(err) {
		s.clock.Distrust()
	}
	return s.nameCall(call, err)
}

// inBatches does a call in batches of items, each with the results of its own.
func inBatches[T, R any](ctx context.Context, s *Store, call string, items []T, do func(ctx context.Context, items []T, results []R) error) ([]R, error) {
	ctx, cancel := s.boundCall(ctx)
	defer cancel()
	results := make([]R, len(items))
	for from := 0; from < len(items); from += maxBatch {
		to := min(from+maxBatch, len(items))
		if err := do(ctx, items[from:to], results[from:to]); err != nil {
			return nil, s.callFailed(call, err)
		}
	}
	return results, nil
}

func (s *Store) nameCall(call string, err error) error {
	return fmt.Errorf("dedupe/mongo: %s in %s.%s: %w", call, s.own.Database().Name(), s.own.Name(), err)
}

// writeEach runs the models in one command, unordered, and returns the items that the server turned
// down. An error says nothing of any item.
func (s *Store) writeEach(ctx context.Context, models []driver.WriteModel) (*driver.BulkWriteResult, []driver.BulkWriteError, error) {
	return mongoserver.WriteEach(ctx, s.own, models, false)
}

// warnUnknownState logs, once, that there are rows whose state this version does not know.
func (s *Store) warnUnknownState(r *storedRow) {
	if !r.isExpired() && !r.isKnown() && !s.warned.Swap(true) {
		s.log.Warn("dedupe collection has a row that a later version has written: its event waits for that version",
			"collection", s.own.Database().Name()+"."+s.own.Name(), "error", r.unknownState())
	}
}

func (s *Store) itemError(e driver.WriteError) error {
	switch {
	case e.Code == failedValidation: // it refuses every row, and is no fault of this one's
		return fmt.Errorf("the validator of the collection refuses the row: take it off: %w", e)
	case mongoserver.Refused(e):
		return fmt.Errorf("%w: %w", dedupe.ErrKeyRefused, e)
	}
	s.clock.Distrust()
	return e
}

// failedValidation is the server's code for a document that a validator turns down.
const failedValidation = 121

func mapEach[T, R any](items []T, to func(T) R) []R {
	out := make([]R, len(items))
	for i, item := range items {
		out[i] = to(item)
	}
	return out
}

// readRows finds rows by id, with the server's time. What is not there is not in the answer.
func readRows(ctx context.Context, coll *driver.Collection, ids []string) (map[string]*storedRow, error) {
	// One more than there can be: the server knows with its first answer that there is no more.
	one := options.Aggregate().SetBatchSize(int32(len(ids) + 1))
	cur, err := coll.Aggregate(ctx, bson.A{
		bson.D{{Key: "$match", Value: bson.D{{Key: "_id", Value: oneOf(ids)}}}},
		bson.D{{Key: "$addFields", Value: bson.D{{Key: "now", Value: expr.Now}}}},
	}, one)
	if err != nil {
		return nil, err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	rows := make(map[string]*storedRow, len(ids))
	for cur.Next(ctx) {
		r, err := newRow(append(bson.Raw(nil), cur.Current...))
		if err != nil {
			return nil, err
		}
		rows[r.id] = r
	}
	return rows, cur.Err()
}

// Collection returns the collection that has the rows.
func (s *Store) Collection() *driver.Collection { return s.own }

// RowID returns the _id of a key's row.
func (s *Store) RowID(key dedupe.Key) string { return keyID(key) }

// Phases returns the phases of rows, as a majority has them, by their ids. Those that are absent or
// expired are not in the answer. A row that only a later version can read is in some other phase
// than done.
func (s *Store) Phases(ctx context.Context, ids []string) (map[string]dedupe.Phase, error) {
	phases := make(map[string]dedupe.Phase, len(ids))
	for some := range slices.Chunk(ids, maxBatch) {
		rows, err := readRows(ctx, s.acked, some)
		if err != nil {
			return nil, err
		}
		for id, r := range rows {
			if !r.isExpired() {
				phases[id] = r.phase
			}
		}
	}
	return phases, nil
}
