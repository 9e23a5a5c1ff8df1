package projector

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// Diff is how the live collection and the shadow differ.
type Diff struct {
	// Equal is how many documents are the same. OnlyLive and OnlyRebuilt are in one of the
	// collections alone, Different in both.
	Equal, OnlyLive, OnlyRebuilt, Different int
	// Newer is how many documents of the live collection are of events that the rebuild has not
	// read yet, and say nothing.
	Newer int
	// Keys are those of the first documents that differ, at most MaxDiffKeys.
	Keys []string
}

// MaxDiffKeys bounds Diff.Keys.
const MaxDiffKeys = 20

// Same reports whether there is no difference, as far as the rebuild has come.
func (d *Diff) Same() bool { return d.OnlyLive+d.OnlyRebuilt+d.Different == 0 }

// Diff compares the shadow with the live collection, document by document. It reads both in whole,
// and holds neither. While the group handles events, compare shortly after Fill: what came in
// between counts as Newer.
func (r *Rebuild) Diff(ctx context.Context) (Diff, error) {
	g, err := findProgress(ctx, r.shadow)
	var d Diff
	if err == nil {
		err = d.compare(ctx, r.p.coll, r.shadow, g)
	}
	if err != nil {
		return Diff{}, r.fail("compare", err)
	}
	return d, nil
}

func (d *Diff) compare(ctx context.Context, live, shadow *driver.Collection, g *progress) error {
	read, err := bus.ParsePosition(g.At)
	if err != nil {
		return err
	}
	upTo, err := positionOf(read)
	if err != nil {
		upTo = position{} // nothing was read
	}
	l, s := newComparedRows(ctx, live), newComparedRows(ctx, shadow)
	defer l.close(ctx)
	defer s.close(ctx)
	for l.err == nil && s.err == nil && (l.ok || s.ok) {
		d.compareNext(ctx, l, s, upTo)
	}
	return cmp.Or(l.err, s.err)
}

// compareNext compares the documents of the lowest key.
func (d *Diff) compareNext(ctx context.Context, l, s *comparedRows, upTo position) {
	inLive := l.ok && (!s.ok || l.row.Key <= s.row.Key)
	inShadow := s.ok && (!l.ok || s.row.Key <= l.row.Key)
	hasLive, hasShadow := inLive && l.row.Own.Deleted.IsZero(), inShadow && s.row.Own.Deleted.IsZero()
	key := l.row.Key
	if !inLive {
		key = s.row.Key
	}
	switch {
	case inLive && l.row.Own.Position.compare(upTo) > 0:
		d.Newer++
	case hasLive && !hasShadow:
		d.note(&d.OnlyLive, key)
	case !hasLive && hasShadow:
		d.note(&d.OnlyRebuilt, key)
	case hasLive && !l.row.same(&s.row):
		d.note(&d.Different, key)
	case hasLive:
		d.Equal++
	}
	if inLive {
		l.next(ctx)
	}
	if inShadow {
		s.next(ctx)
	}
}

func (d *Diff) note(count *int, key string) {
	*count++
	if len(d.Keys) < MaxDiffKeys {
		d.Keys = append(d.Keys, key)
	}
}

// comparedRows goes through the documents of a collection by key.
type comparedRows struct {
	cur *driver.Cursor
	row comparedRow
	ok  bool
	err error
}

// comparedRow is a document, or a tombstone.
type comparedRow struct {
	Key string `bson:"_id"`
	Own struct {
		Position position  `bson:"position"`
		Deleted  time.Time `bson:"deleted"`
		Withheld bson.Raw  `bson:"withheld"`
	} `bson:"_onceish"`

	body bson.Raw
}

func newComparedRows(ctx context.Context, coll *driver.Collection) *comparedRows {
	r := &comparedRows{}
	filter := bson.D{{Key: "_id", Value: expr.Op("$type", "string")}}
	if r.cur, r.err = coll.Find(ctx, filter, options.Find().SetSort(expr.Op("_id", 1))); r.err == nil {
		r.next(ctx)
	}
	return r
}

func (r *comparedRows) next(ctx context.Context) {
	r.row = comparedRow{}
	if r.ok = r.cur.Next(ctx); !r.ok {
		r.err = r.cur.Err()
		return
	}
	r.row.body = r.cur.Current
	r.err = r.cur.Decode(&r.row)
}

func (r *comparedRows) close(ctx context.Context) {
	if r.cur != nil {
		_ = r.cur.Close(context.WithoutCancel(ctx)) // nothing was written
	}
}

// same reports whether two documents have the same fields, in whatever order: a field that was
// withheld for a while has become the last one.
func (c *comparedRow) same(other *comparedRow) bool {
	return sameFields(c.body, other.body) && sameFields(c.Own.Withheld, other.Own.Withheld)
}

func sameFields(a, b bson.Raw) bool {
	return slices.EqualFunc(sortedElements(a), sortedElements(b), func(a, b bson.RawElement) bool { return bytes.Equal(a, b) })
}

// sortedElements are the fields of a document by name, but for the reserved one.
func sortedElements(d bson.Raw) []bson.RawElement {
	elements, _ := d.Elements() // the driver has read it
	elements = slices.DeleteFunc(elements, func(e bson.RawElement) bool { return e.Key() == reservedField })
	slices.SortFunc(elements, func(a, b bson.RawElement) int { return strings.Compare(a.Key(), b.Key()) })
	return elements
}
