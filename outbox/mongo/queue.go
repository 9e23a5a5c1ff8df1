package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
	"github.com/onceish/onceish/outbox"
)

var (
	_ outbox.Queue   = (*Queue)(nil)
	_ outbox.Admin   = (*Queue)(nil)
	_ outbox.Watcher = (*Queue)(nil)
)

// maxBatch bounds the rows of one command; longer arguments are worked off one after the other.
const maxBatch = 1000

// Queue keeps an outbox in a collection. It is safe for concurrent use, starts no goroutine, and
// needs no closing: the client is its caller's.
type Queue struct {
	rows    *driver.Collection
	parts   *driver.Collection
	clock   *serverclock.Clock
	timeout time.Duration
	hashes  hashWindow
	seqs    seqWindow
	seq     *seqCounter
	headers bus.ContextHeaders
}

// New returns the outbox in coll, whose own concerns and preferences do not matter, after it has
// made sure of the collection and its indexes, and of the one beside it that has the partitions.
// ErrCollection: it cannot serve as it is. It may be called by many processes at once.
func New(ctx context.Context, coll *driver.Collection, o *Options) (*Queue, error) {
	if coll == nil {
		return nil, errors.New("outbox/mongo: the collection is nil")
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	beside := coll.Database().Collection(coll.Name() + ".partitions")
	q := &Queue{
		rows:    mongoserver.Own(coll, readconcern.Majority(), writeconcern.Majority()),
		parts:   mongoserver.Own(beside, readconcern.Majority(), writeconcern.Majority()),
		clock:   mongoserver.NewClock(coll.Database(), opts.now),
		timeout: opts.Timeout,
		headers: opts.Headers,
	}
	ctx, cancel := q.boundCall(ctx)
	defer cancel()
	if err := Layout(opts.Keep).Ensure(ctx, q.rows); err != nil {
		return nil, fmt.Errorf("outbox/mongo: %s.%s: %w", coll.Database().Name(), coll.Name(), err)
	}
	if err := q.preparePartitions(ctx, opts.Partitions); err != nil {
		return nil, fmt.Errorf("outbox/mongo: %s.%s: %w", beside.Database().Name(), beside.Name(), err)
	}
	if _, err := q.clock.Read(ctx); err != nil {
		return nil, q.callFailed("start", err)
	}
	return q, nil
}

// The indexes. byHash has pending rows in the order of pages, and dead ones of a key; byTime has
// rows in the order in which they were added. See byDue for those that are scheduled.
var (
	byHash = mongoserver.Index{Fields: []string{"status", "hash", "seq", "_id"}}
	byTime = mongoserver.Index{Fields: []string{"ts", "seq", "_id"}}
)

// Layout is what New makes sure of in the collection that has the rows: the indexes that they are
// read by, and one by which the server removes those that were sent. keep is Options.Keep; 0: as
// it has been.
func Layout(keep time.Duration) *mongoserver.Layout {
	expiry := mongoserver.Index{Fields: []string{"sent_at"}, Expires: true, After: keep.Truncate(time.Second), Sparse: true}
	if keep == 0 {
		expiry.After, expiry.AsFound = defaultKeep, true
	}
	return &mongoserver.Layout{Unfit: ErrCollection, Indexes: []mongoserver.Index{byHash, byTime, byDue, expiry}}
}

// boundCall bounds a call. A transaction of the caller's is left out: what it aborts is
// nobody else's.
func (q *Queue) boundCall(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(driver.NewSessionContext(ctx, nil), q.timeout)
}

// callFailed names the call. After an error the server may be another, with another clock.
func (q *Queue) callFailed(call string, err error) error {
	q.clock.Distrust()
	return fmt.Errorf("outbox/mongo: %s in %s.%s: %w", call, q.rows.Database().Name(), q.rows.Name(), err)
}

// readRows finds rows, with the server's time, in one round trip as a rule. Each says false when it
// has had enough.
func (q *Queue) readRows(ctx context.Context, stages bson.A, most int, each func(*storedRow) bool) error {
	stages = append(stages, expr.Op("$addFields", expr.Op("now", expr.Now)))
	// One more than there can be: the server knows with its first answer that there is no more.
	cur, err := q.rows.Aggregate(ctx, stages, options.Aggregate().SetBatchSize(int32(min(most, 1<<20)+1)))
	if err != nil {
		return err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		var s storedRow
		if err := bson.Unmarshal(cur.Current, &s); err != nil {
			return fmt.Errorf("row %v: %w", cur.Current.Lookup("_id"), err)
		}
		if !each(&s) {
			return nil
		}
	}
	return cur.Err()
}

func (q *Queue) rowsByID(ctx context.Context, ids []string) (map[string]*storedRow, error) {
	rows := make(map[string]*storedRow, len(ids))
	err := q.readRows(ctx, bson.A{expr.Op("$match", expr.Op("_id", expr.Op("$in", ids)))}, len(ids), func(s *storedRow) bool {
		rows[s.RowID] = s
		return true
	})
	return rows, err
}

// Collection returns the collection that has the rows.
func (q *Queue) Collection() *driver.Collection { return q.rows }
