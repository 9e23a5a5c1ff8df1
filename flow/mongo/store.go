package mongo

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
)

var (
	// ErrInvalidName is returned by New when MongoDB takes no collection of that name.
	ErrInvalidName = errors.New("invalid name of a collection")
	// ErrCollection is returned by Prepare when the collection cannot serve as it is; the text says
	// how to mend it.
	ErrCollection = errors.New("collection is unfit for shared limits")
)

// Options of a Store. The zero value, and nil, are the defaults.
type Options struct {
	// Logger is told, once, when idle rows cannot be removed. Nil: slog.Default().
	Logger *slog.Logger
	// now is the clock of this machine; tests skew it.
	now func() time.Time
}

// Store keeps shared limits in a collection. It is safe for concurrent use, starts no goroutine,
// and needs no closing: the client is its caller's.
type Store struct {
	rows  *driver.Collection
	clock *serverclock.Clock
	log   *slog.Logger

	mu       sync.Mutex
	prepared bool
	warned   bool
	retryAt  time.Time // when Swap prepares the collection again
}

var (
	_ flow.Store  = (*Store)(nil)
	_ flow.Lister = (*Store)(nil)
)

// New returns the store in coll. It calls nothing: a server that is down then does no harm. The
// collection and its index are made by Prepare, or else by the first write.
func New(coll *driver.Collection, o *Options) (*Store, error) {
	if coll == nil {
		return nil, errors.New("flow/mongo: the collection is nil")
	}
	name := coll.Database().Name() + "." + coll.Name()
	switch {
	case coll.Name() == "", strings.ContainsAny(coll.Name(), "$\x00"), strings.HasPrefix(coll.Name(), "system."),
		strings.HasPrefix(coll.Name(), "."), strings.HasSuffix(coll.Name(), "."), len(name) > maxName:
		return nil, fmt.Errorf("flow/mongo: %w: %q: it must be 1 to %d bytes with the database, without '$', and not begin with \"system.\"", ErrInvalidName, coll.Name(), maxName)
	}
	opts := *cmp.Or(o, &Options{})
	if opts.now == nil {
		opts.now = time.Now
	}
	rows := mongoserver.Own(coll, readconcern.Local(), writeconcern.W1())
	return &Store{rows: rows, clock: mongoserver.NewClock(rows.Database(), opts.now), log: cmp.Or(opts.Logger, slog.Default())}, nil
}

// maxName is how long the names of a database and a collection may be together.
const maxName = 255

// Layout is what Prepare makes sure of: an index by which the server removes rows that are idle.
func Layout() *mongoserver.Layout {
	return &mongoserver.Layout{Unfit: ErrCollection, Indexes: []mongoserver.Index{{Fields: []string{"expireAt"}, Expires: true}}}
}

// Prepare makes the collection and its TTL index. It need not be called, and may be repeated. A
// user who may not make an index gets an error, and can use the store all the same.
func (s *Store) Prepare(ctx context.Context) error {
	if err := Layout().Ensure(driver.NewSessionContext(ctx, nil), s.rows); err != nil {
		return s.nameCall("prepare", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prepared = true
	return nil
}

// Now implements flow.Store.
func (s *Store) Now(ctx context.Context) (now time.Time, doubt time.Duration, err error) {
	at, err := s.clock.Read(driver.NewSessionContext(ctx, nil))
	if err != nil {
		return now, 0, s.nameCall("server's time", err)
	}
	return at.Time, at.Doubt, nil
}

// Swap implements flow.Store, in one round trip.
func (s *Store) Swap(ctx context.Context, key string, revision uint64, data []byte, ttl time.Duration) (flow.Row, error) {
	ctx = driver.NewSessionContext(ctx, nil)
	next := newRevision()
	replaceable := expr.Op("$or", bson.A{
		expr.Op("$ne", bson.A{expr.Op("$type", "$revision"), "long"}), // it is new, or nobody's
		expr.Op("$eq", bson.A{"$revision", expr.Literal(int64(revision))}),
	})
	ifReplaceable := func(name string, value any) bson.E {
		return expr.Field(name, expr.Op("$cond", bson.A{replaceable, value, "$" + name}))
	}
	update := bson.A{expr.Set(
		ifReplaceable("data", expr.Literal(bson.Binary{Data: data})),
		ifReplaceable("revision", expr.Literal(next)),
		ifReplaceable("expireAt", expr.NowPlus(ttl)),
	)}
	o := options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)
	doc, err := s.rows.FindOneAndUpdate(ctx, bson.D{{Key: "_id", Value: key}}, update, o).Raw()
	switch {
	case driver.IsDuplicateKeyError(err): // two made the row at a time; the next call finds it
		return flow.Row{}, flow.ErrConflict
	case err != nil:
		s.clock.Distrust()
		return flow.Row{}, s.nameCall("swap", err)
	}
	row := readRow(doc)
	if row.Revision != uint64(next) {
		return row, flow.ErrConflict
	}
	s.prepareOnce(ctx)
	return row, nil
}

// newRevision is positive, and of no other write.
func newRevision() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return int64(binary.LittleEndian.Uint64(b[:])>>1 | 1)
}

// retryPrepare is how long a collection that could not be prepared is left alone.
const retryPrepare = 10 * time.Second

// prepareOnce prepares the collection if nobody has, in what is left of the call's time. A failure
// does no harm but that idle rows stay.
func (s *Store) prepareOnce(ctx context.Context) {
	s.mu.Lock()
	now := s.clock.Local()
	due := !s.prepared && !now.Before(s.retryAt)
	if due {
		s.retryAt = now.Add(retryPrepare)
	}
	s.mu.Unlock()
	if !due {
		return
	}
	err := s.Prepare(ctx)
	s.mu.Lock()
	warn := err != nil && ctx.Err() == nil && !s.warned
	s.warned = s.warned || warn
	s.mu.Unlock()
	if warn {
		s.log.Warn("index of the collection of shared limits could not be made; idle rows stay until it is", "error", err)
	}
}

func (s *Store) nameCall(call string, err error) error {
	return fmt.Errorf("flow/mongo: %s in %s.%s: %w", call, s.rows.Database().Name(), s.rows.Name(), err)
}
