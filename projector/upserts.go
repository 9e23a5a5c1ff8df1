package projector

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/mongoserver"
)

// upserts makes documents that are each of one event: the latest of their key.
type upserts struct {
	project Func
	o       Options
}

func (u *upserts) plan(it *item) (err error) {
	if it.change, err = u.project(it.event); err != nil || it.change.isNone() {
		return err
	}
	it.row, err = u.newRow(it)
	return err
}

// prepare implements writer.
func (u *upserts) prepare(ctx context.Context, coll *driver.Collection) error {
	for _, x := range u.o.Unique {
		if err := prepareUnique(ctx, coll, x.Field); err != nil {
			return fmt.Errorf("the unique field %q: %w", x.Field, err)
		}
	}
	if u.o.TombstoneTTL == 0 {
		return nil
	}
	return prepareTTL(ctx, coll, int32(u.o.TombstoneTTL.Seconds()))
}

// uniqueIndex is the name of the index of a unique field.
func uniqueIndex(field string) string { return "onceish_unique_" + field }

// prepareUnique makes a unique index of the documents that show a field. Documents that were made
// without it may not have an owner.
func prepareUnique(ctx context.Context, coll *driver.Collection, field string) error {
	there, err := mongoserver.ListIndexes(ctx, coll)
	if err != nil {
		return fmt.Errorf("list the indexes: %w", err)
	}
	name := uniqueIndex(field)
	if slices.ContainsFunc(there, func(x mongoserver.FoundIndex) bool { return x.Name == name }) {
		return nil
	}
	err = coll.FindOne(ctx, hasField(field)).Err()
	switch {
	case err == nil:
		return ErrRebuild
	case !errors.Is(err, driver.ErrNoDocuments):
		return fmt.Errorf("look for documents: %w", err)
	}
	return createIndex(ctx, coll, field, options.Index().SetName(name).SetUnique(true).SetPartialFilterExpression(hasField(field)))
}

// prepareTTL makes the index by which tombstones expire, or changes when they do.
func prepareTTL(ctx context.Context, coll *driver.Collection, seconds int32) error {
	const name = "onceish_tombstones"
	err := createIndex(ctx, coll, deletedField, options.Index().SetName(name).SetExpireAfterSeconds(seconds))
	if mongoserver.HasCode(err, 85, 86) { // IndexOptionsConflict, IndexKeySpecsConflict
		err = coll.Database().RunCommand(ctx, bson.D{{Key: "collMod", Value: coll.Name()}, {Key: "index", Value: bson.D{
			{Key: "name", Value: name}, {Key: "expireAfterSeconds", Value: seconds},
		}}}).Err()
	}
	return err
}

func createIndex(ctx context.Context, coll *driver.Collection, field string, o *options.IndexOptionsBuilder) error {
	if _, err := coll.Indexes().CreateOne(ctx, driver.IndexModel{Keys: bson.D{{Key: field, Value: 1}}, Options: o}); err != nil {
		return fmt.Errorf("make an index on %s: %w", field, err)
	}
	return nil
}

// write implements writer. Of several events of a key the latest is written, and if the server
// refuses that one, the latest of the others.
func (u *upserts) write(ctx context.Context, coll *driver.Collection, items []*item) (s Stats, err error) {
	var claims []*claim
	for _, it := range items {
		claims = append(claims, it.row.claims...)
	}
	if len(claims) > 0 {
		if err := makeClaims(ctx, coll, claims); err != nil {
			return s, err
		}
	}
	before := make([]owner, len(claims))
	for i, c := range claims {
		before[i] = c.owner
	}
	for rest := items; len(rest) > 0; {
		var newest []*row
		newest, rest = takeNewest(rest)
		if err := writeRows(ctx, coll, newest, &s); err != nil {
			return s, err
		}
		rest = dropStale(rest, newest, &s)
	}
	err = settleClaims(ctx, coll, claims, before, &s)
	return s, err
}

// takeNewest splits items into the newest of each key, and the others.
func takeNewest(items []*item) (newest []*row, others []*item) {
	at := make(map[string]int, len(items))
	for _, it := range items {
		if it.err != nil {
			continue
		}
		i, ok := at[it.row.key]
		switch {
		case !ok:
			at[it.row.key] = len(newest)
			newest = append(newest, it.row)
		case newest[i].item.at.compare(it.at) < 0:
			others = append(others, newest[i].item)
			newest[i] = it.row
		default:
			others = append(others, it)
		}
	}
	return newest, others
}

// dropStale leaves those items whose newer one was refused.
func dropStale(items []*item, written []*row, s *Stats) (rest []*item) {
	refused := make(map[string]bool)
	for _, r := range written {
		if r.item.err != nil {
			refused[r.key] = true
		}
	}
	for _, it := range items {
		if refused[it.row.key] {
			rest = append(rest, it)
		} else {
			s.Stale++
		}
	}
	return rest
}

// writeRows writes one row of each key. Where another document shows a value of a unique field, it
// is settled first who is to.
func writeRows(ctx context.Context, coll *driver.Collection, rows []*row, s *Stats) error {
	for try := 0; len(rows) > 0; try++ {
		models := make([]driver.WriteModel, len(rows))
		for i, r := range rows {
			models[i] = r.model()
		}
		out, err := writeEach(ctx, coll, models)
		if err != nil {
			return fmt.Errorf("write documents: %w", err)
		}
		applied := uint64(out.modified) + uint64(len(out.upserted))
		s.Applied += applied
		s.Stale += uint64(len(rows)-len(out.failed)) - applied
		if rows, err = settleRefused(ctx, coll, rows, out.failed, try); err != nil {
			return err
		}
	}
	return nil
}

// settleRefused returns the rows that are to be written again, since who shows their value was
// settled. The others have an error.
func settleRefused(ctx context.Context, coll *driver.Collection, rows []*row, failed map[int]driver.WriteError, try int) (again []*row, err error) {
	for i, e := range failed {
		c := rows[i].claimBehind(e)
		if c == nil || try == settleTries {
			rows[i].item.err = refusal(e)
			continue
		}
		if err := c.settle(ctx, coll); err != nil {
			return nil, err
		}
		again = append(again, rows[i])
	}
	return again, nil
}

// claimBehind returns the claim that a server's refusal is about.
func (r *row) claimBehind(e driver.WriteError) *claim {
	for _, c := range r.claims {
		if isDuplicateIn(e, uniqueIndex(c.Field), c.Field) {
			return c
		}
	}
	return nil
}

// settleClaims sees to it that documents show the owners of values, as they are after the rows were
// written.
func settleClaims(ctx context.Context, coll *driver.Collection, claims []*claim, before []owner, s *Stats) error {
	if len(claims) == 0 {
		return nil
	}
	if err := readOwners(ctx, coll, claims); err != nil {
		return err
	}
	for i, c := range claims {
		if !c.isSettled(before[i]) {
			if err := c.settle(ctx, coll); err != nil {
				return err
			}
		}
		if c.owns() || c.row.item.err != nil {
			continue
		}
		s.Withheld++
		if c.Policy == DeadLetter {
			c.row.item.err = consumer.Permanent(&TakenError{Field: c.Field, Key: c.row.key, Owner: c.owner.Key})
		}
	}
	return nil
}
