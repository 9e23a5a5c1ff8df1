package projector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/uuid7"
)

// History is where a rebuild reads the events of a topic: a bus.Bus that is a bus.Reader is one. An
// archive in front of a stream is another; it returns the events in order, those on partitions of
// the topic included (bus.Range.Partitions), under their positions in the stream.
type History interface {
	bus.Reader
	// Topic is that of a bus.Bus. A rebuild looks at First and Last alone: the first event that the
	// history still has, and the last one that it ever had.
	bus.TopicFinder
}

// RebuildOptions of a Rebuild. The zero value, and nil, are the defaults.
type RebuildOptions struct {
	// Incomplete takes the events that the stream still has for all of them.
	Incomplete bool
	// MarkTTL is for how long it is remembered which events were read, so that a copy of one that
	// is stored further on changes nothing. It should be the TTL of the group's marks. Default: 7
	// days, the consumer's own.
	MarkTTL time.Duration
}

// defaultMarkTTL is RebuildOptions.MarkTTL.
const defaultMarkTTL = 7 * 24 * time.Hour

// Rebuild makes a projection's documents again, in a shadow collection beside the live one, of the
// events that are stored. All that it knows lies in the shadow: whatever ends it, at whatever step,
// another Rebuild goes on from there. It is safe for concurrent use; two that run at once do the
// same work twice.
type Rebuild struct {
	p            *Projection
	history      History
	store        dedupe.Store
	topic, group string
	o            RebuildOptions
	shadow       *driver.Collection
}

// ShadowSuffix is what the name of a shadow has more than that of its collection.
const ShadowSuffix = "_rebuild"

// NewRebuild returns a rebuild of a projection that the group makes of a topic, which may be a
// pattern. The store keeps which events were read; it may be the group's own. o may be nil.
func NewRebuild(p *Projection, h History, topic, group string, s dedupe.Store, o *RebuildOptions) (*Rebuild, error) {
	if p == nil || h == nil || s == nil {
		return nil, errors.New("projector: a rebuild needs the projection, the history of its topic, and a store")
	}
	if topic == "" || group == "" {
		return nil, fmt.Errorf("projector: a rebuild needs the topic and the group of the projection: they are %q and %q", topic, group)
	}
	r := &Rebuild{p: p, history: h, store: s, topic: topic, group: group, o: *cmp.Or(o, &RebuildOptions{})}
	r.o.MarkTTL = cmp.Or(r.o.MarkTTL, defaultMarkTTL)
	if r.o.MarkTTL < 0 {
		return nil, fmt.Errorf("projector: RebuildOptions.MarkTTL is %v: it must be positive, or zero for %v", r.o.MarkTTL, defaultMarkTTL)
	}
	r.shadow = own(p.coll.Database().Collection(p.coll.Name() + ShadowSuffix))
	return r, nil
}

// Progress is how far a rebuild is.
type Progress struct {
	// At is the position of the last event that the shadow has.
	At bus.Position
	// Begun is when the rebuild began.
	Begun time.Time
	// Events is how many events were read. Skipped of them are copies of others, or for other
	// groups, and Refused could not be projected; a group would dead-letter those.
	Events, Skipped, Refused int64
	// Refusal is why the last one of those was refused.
	Refusal string
}

// progress is Progress as the shadow keeps it. When the shadow takes the place of the live
// collection it is there, and says that the events after it are still to be read.
type progress struct {
	ID       bson.D        `bson:"_id"`
	Rebuild  string        `bson:"rebuild"`
	At       string        `bson:"at"`
	Begun    time.Time     `bson:"begun"`
	Events   int64         `bson:"events"`
	Skipped  int64         `bson:"skipped"`
	Refused  int64         `bson:"refused"`
	Refusal  string        `bson:"refusal,omitempty"`
	Reserved progressMarks `bson:"_onceish"`
}

type progressMarks struct {
	Hidden bool `bson:"hidden"`
}

// progressID is the _id of a progress; those of documents are strings.
func progressID() bson.D { return bson.D{{Key: "rebuild", Value: true}} }

func (g *progress) public() (Progress, error) {
	at, err := bus.ParsePosition(g.At)
	return Progress{At: at, Begun: g.Begun, Events: g.Events, Skipped: g.Skipped, Refused: g.Refused, Refusal: g.Refusal}, err
}

// findProgress returns the progress in a collection; ErrNoRebuild if it has none.
func findProgress(ctx context.Context, coll *driver.Collection) (*progress, error) {
	var g progress
	err := coll.FindOne(ctx, expr.Op("_id", progressID())).Decode(&g)
	if errors.Is(err, driver.ErrNoDocuments) {
		return nil, ErrNoRebuild
	}
	if err != nil {
		return nil, fmt.Errorf("read the progress of the rebuild: %w", err)
	}
	return &g, nil
}

// save writes the progress, unless the collection is another rebuild's by now.
func (g *progress) save(ctx context.Context, coll *driver.Collection) error {
	res, err := coll.ReplaceOne(ctx, bson.D{{Key: "_id", Value: g.ID}, {Key: "rebuild", Value: g.Rebuild}}, g)
	if err != nil {
		return fmt.Errorf("save the progress of the rebuild: %w", err)
	}
	if res.MatchedCount == 0 {
		return fmt.Errorf("%w: another process has ended it", ErrNoRebuild)
	}
	return nil
}

// Status returns how far the rebuild is. ErrNoRebuild: none was begun.
func (r *Rebuild) Status(ctx context.Context) (Progress, error) {
	g, err := findProgress(ctx, r.shadow)
	if err != nil {
		return Progress{}, r.fail("look at", err)
	}
	return g.public()
}

// Drop ends a rebuild that is not to be swapped in. It may be repeated.
func (r *Rebuild) Drop(ctx context.Context) error {
	if err := r.shadow.Drop(ctx); err != nil {
		return r.fail("drop", err)
	}
	return nil
}

// Collection is the name of the live collection.
func (r *Rebuild) Collection() string { return r.p.coll.Name() }

func (r *Rebuild) fail(doing string, err error) error {
	return fmt.Errorf("projector: %s the rebuild of %s: %w", doing, r.p.coll.Name(), err)
}

// begin returns the progress of the shadow, which it makes if there is none.
func (r *Rebuild) begin(ctx context.Context) (*progress, error) {
	g, err := findProgress(ctx, r.shadow)
	if !errors.Is(err, ErrNoRebuild) {
		return g, err
	}
	if !r.o.Incomplete {
		if err := r.checkComplete(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.makeShadow(ctx); err != nil {
		return nil, err
	}
	g = &progress{ID: progressID(), Rebuild: uuid7.New(time.Now()), Begun: time.Now().UTC(), Reserved: progressMarks{Hidden: true}}
	if _, err := r.shadow.InsertOne(ctx, g); driver.IsDuplicateKeyError(err) {
		return findProgress(ctx, r.shadow)
	} else if err != nil {
		return nil, fmt.Errorf("save the progress of the rebuild: %w", err)
	}
	return g, nil
}

// checkComplete returns ErrIncomplete if what is stored does not begin with the first event.
func (r *Rebuild) checkComplete(ctx context.Context) error {
	info, err := bus.FindTopic(ctx, r.history, r.topic, r.group, bus.Start{})
	if err != nil {
		return fmt.Errorf("look at the topic %q: %w", r.topic, err)
	}
	first := info.First.Sequence
	if first == 0 && info.Last.Sequence > 0 { // it is empty, and was not
		first = info.Last.Sequence + 1
	}
	if first > 1 {
		return fmt.Errorf("%w: %q begins at sequence %d; to make do with what is there, allow an incomplete rebuild", ErrIncomplete, r.topic, first)
	}
	return nil
}

// makeShadow makes an empty shadow with the options and the indexes of the live collection. What is
// left of a rebuild without progress goes.
func (r *Rebuild) makeShadow(ctx context.Context) error {
	if err := r.shadow.Drop(ctx); err != nil {
		return fmt.Errorf("drop what is left of the last rebuild: %w", err)
	}
	if err := copyCollection(ctx, r.p.coll, r.shadow); err != nil {
		return err
	}
	return r.p.writer.prepare(ctx, r.shadow)
}
