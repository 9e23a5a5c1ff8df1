package mongo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
)

// watermark is the one document of a group and topic; being one, each change of it is atomic. It has no expireAt, so the
// TTL index leaves it alone.
type watermark struct {
	Streams []floor `bson:"streams"`
}

// floor is a Position. Dates in BSON have milliseconds only; Stored is in nanoseconds, and absent for the zero time.
type floor struct {
	Stream   string `bson:"stream"`
	Sequence int64  `bson:"sequence"`
	Stored   *int64 `bson:"stored,omitempty"`
}

func newFloor(at dedupe.Position) (floor, error) {
	if at.Sequence > math.MaxInt64 {
		return floor{}, fmt.Errorf("the sequence is %d; the largest that is kept is %d", at.Sequence, int64(math.MaxInt64))
	}
	f := floor{Stream: at.Stream, Sequence: int64(at.Sequence)}
	if at.Stored.IsZero() {
		return f, nil
	}
	ns := at.Stored.UnixNano()
	if !time.Unix(0, ns).Equal(at.Stored) {
		return floor{}, fmt.Errorf("the stored time is %v; it must be in the years 1678 to 2262", at.Stored)
	}
	f.Stored = &ns
	return f, nil
}

func (f floor) position() dedupe.Position {
	p := dedupe.Position{Stream: f.Stream, Sequence: uint64(max(0, f.Sequence))}
	if f.Stored != nil {
		p.Stored = time.Unix(0, *f.Stored).UTC()
	}
	return p
}

// Begin implements [dedupe.Watermarker].
func (s *Store) Begin(ctx context.Context, group, topic string, at dedupe.Position) (dedupe.Position, error) {
	f, err := newFloor(at)
	if err != nil {
		return dedupe.Position{}, fmt.Errorf("dedupe/mongo: begin: %w", err)
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	kept, err := s.begin(ctx, watermarkID(group, topic), f)
	if err != nil {
		return dedupe.Position{}, s.failed("begin", err)
	}
	return kept.position(), nil
}

func (s *Store) begin(ctx context.Context, id string, f floor) (floor, error) {
	// A group that is known nowhere starts at f.
	_, err := s.own.InsertOne(ctx, bson.D{field("_id", id), field("streams", []floor{f})})
	if err == nil {
		return f, nil
	}
	if !driver.IsDuplicateKeyError(err) {
		return floor{}, err
	}
	// One that is known here in another stream starts at the first event of this one.
	_, err = s.own.UpdateOne(ctx,
		bson.D{field("_id", id), field("streams.stream", bson.D{field("$ne", f.Stream)})},
		bson.D{field("$push", bson.D{field("streams", floor{Stream: f.Stream})})})
	if err != nil {
		return floor{}, err
	}
	var w watermark
	if err := s.own.FindOne(ctx, bson.D{field("_id", id)}).Decode(&w); err != nil {
		return floor{}, err
	}
	for _, kept := range w.Streams {
		if kept.Stream == f.Stream {
			return kept, nil
		}
	}
	return floor{}, errors.New("the watermark was changed by somebody else; ask again")
}

// Advance implements [dedupe.Watermarker], in one round trip.
func (s *Store) Advance(ctx context.Context, group, topic string, at dedupe.Position) error {
	f, err := newFloor(at)
	if err != nil {
		return fmt.Errorf("dedupe/mongo: advance: %w", err)
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	behind := bson.D{field("stream", f.Stream), field("sequence", bson.D{field("$lte", f.Sequence)})}
	forward := bson.D{field("$set", bson.D{field("streams.$.sequence", f.Sequence)})}
	if f.Stored != nil {
		forward = append(forward, field("$max", bson.D{field("streams.$.stored", *f.Stored)}))
	}
	_, err = s.own.UpdateOne(ctx,
		bson.D{field("_id", watermarkID(group, topic)), field("streams", bson.D{field("$elemMatch", behind)})}, forward)
	if err != nil {
		return s.failed("advance", err)
	}
	return nil
}
