package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// watermarkDoc is the one document of a group and topic; being one, each change of it is atomic. It
// has no expireAt, so the TTL index leaves it alone.
type watermarkDoc struct {
	Streams []streamWatermark `bson:"streams"`
}

// streamWatermark is a Watermark. Dates in BSON have milliseconds only; times are in nanoseconds,
// and absent for the zero time.
type streamWatermark struct {
	Stream string          `bson:"stream"`
	Point  sequencePoint   `bson:",inline"`
	Trail  []sequencePoint `bson:"trail,omitempty"`
}

type sequencePoint struct {
	Sequence int64  `bson:"sequence"`
	Stored   *int64 `bson:"stored,omitempty"`
}

func newStreamWatermark(at dedupe.Watermark) (streamWatermark, error) {
	own, err := newSequencePoint(dedupe.Point{Sequence: at.Sequence, Stored: at.Stored})
	f := streamWatermark{Stream: at.Stream, Point: own}
	for _, p := range at.Trail {
		earlier, unfit := newSequencePoint(p)
		f.Trail, err = append(f.Trail, earlier), cmp.Or(err, unfit)
	}
	return f, err
}

func newSequencePoint(at dedupe.Point) (sequencePoint, error) {
	if at.Sequence > math.MaxInt64 {
		return sequencePoint{}, fmt.Errorf("the sequence is %d; the largest that is kept is %d", at.Sequence, int64(math.MaxInt64))
	}
	p := sequencePoint{Sequence: int64(at.Sequence)}
	if at.Stored.IsZero() {
		return p, nil
	}
	ns := at.Stored.UnixNano()
	if !time.Unix(0, ns).Equal(at.Stored) {
		return sequencePoint{}, fmt.Errorf("the stored time is %v; it must be in the years 1678 to 2262", at.Stored)
	}
	p.Stored = &ns
	return p, nil
}

func (p sequencePoint) toPoint() dedupe.Point {
	out := dedupe.Point{Sequence: uint64(max(0, p.Sequence))}
	if p.Stored != nil {
		out.Stored = time.Unix(0, *p.Stored).UTC()
	}
	return out
}

func (f streamWatermark) toWatermark() dedupe.Watermark {
	own := f.Point.toPoint()
	w := dedupe.Watermark{Position: dedupe.Position{Stream: f.Stream, Sequence: own.Sequence, Stored: own.Stored}}
	for _, p := range f.Trail {
		w.Trail = append(w.Trail, p.toPoint())
	}
	return w
}

// Watermarks implements [dedupe.Watermarker], in one round trip.
func (s *Store) Watermarks(ctx context.Context, group, topic string) ([]dedupe.Watermark, error) {
	ctx, cancel := s.boundCall(ctx)
	defer cancel()
	w, err := s.readWatermarks(ctx, watermarkID(group, topic))
	if err != nil {
		return nil, s.callFailed("watermarks", err)
	}
	return mapEach(w.Streams, streamWatermark.toWatermark), nil
}

// readWatermarks reads the document of a group and topic; it is empty where there is none.
func (s *Store) readWatermarks(ctx context.Context, id string) (w watermarkDoc, err error) {
	err = s.own.FindOne(ctx, bson.D{expr.Field("_id", id)}).Decode(&w)
	if errors.Is(err, driver.ErrNoDocuments) {
		return watermarkDoc{}, nil
	}
	return w, err
}

// Begin implements [dedupe.Watermarker].
func (s *Store) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
	f, err := newStreamWatermark(at)
	if err != nil {
		return dedupe.Watermark{}, fmt.Errorf("dedupe/mongo: begin: %w", err)
	}
	ctx, cancel := s.boundCall(ctx)
	defer cancel()
	kept, err := s.beginWatermark(ctx, watermarkID(group, topic), f)
	if err != nil {
		return dedupe.Watermark{}, s.callFailed("begin", err)
	}
	return kept.toWatermark(), nil
}

func (s *Store) beginWatermark(ctx context.Context, id string, f streamWatermark) (streamWatermark, error) {
	// A group that is known nowhere starts at f.
	_, err := s.own.InsertOne(ctx, bson.D{expr.Field("_id", id), expr.Field("streams", []streamWatermark{f})})
	if err == nil {
		return f, nil
	}
	if !driver.IsDuplicateKeyError(err) {
		return streamWatermark{}, err
	}
	_, err = s.own.UpdateOne(ctx,
		bson.D{expr.Field("_id", id), expr.Field("streams.stream", bson.D{expr.Field("$ne", f.Stream)})},
		bson.D{expr.Field("$push", bson.D{expr.Field("streams", f)})})
	if err != nil {
		return streamWatermark{}, err
	}
	w, err := s.readWatermarks(ctx, id)
	if err != nil {
		return streamWatermark{}, err
	}
	for _, kept := range w.Streams {
		if kept.Stream == f.Stream {
			return kept, nil
		}
	}
	return streamWatermark{}, errors.New("the watermark was changed by somebody else; retry")
}

// Advance implements [dedupe.Watermarker], in one round trip.
func (s *Store) Advance(ctx context.Context, group, topic string, at dedupe.Watermark) error {
	f, err := newStreamWatermark(at)
	if err != nil {
		return fmt.Errorf("dedupe/mongo: advance: %w", err)
	}
	ctx, cancel := s.boundCall(ctx)
	defer cancel()
	behind := bson.D{expr.Field("stream", f.Stream), expr.Field("sequence", bson.D{expr.Field("$lt", f.Point.Sequence)})}
	if _, err = s.setWatermark(ctx, watermarkID(group, topic), behind, f); err != nil {
		return s.callFailed("advance", err)
	}
	return nil
}

// Replace implements [dedupe.Watermarker], in one round trip.
func (s *Store) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error) {
	kept, err := newSequencePoint(dedupe.Point{Sequence: was.Sequence, Stored: was.Stored})
	if err != nil {
		return false, nil // such a one is kept nowhere
	}
	f, err := newStreamWatermark(now)
	if err != nil {
		return false, fmt.Errorf("dedupe/mongo: replace: %w", err)
	}
	ctx, cancel := s.boundCall(ctx)
	defer cancel()
	same := bson.D{expr.Field("stream", was.Stream), expr.Field("sequence", kept.Sequence)}
	if kept.Stored == nil {
		same = append(same, expr.Field("stored", bson.D{expr.Field("$exists", false)}))
	} else {
		same = append(same, expr.Field("stored", *kept.Stored))
	}
	replaced, err := s.setWatermark(ctx, watermarkID(group, topic), same, f)
	if err != nil {
		return false, s.callFailed("replace", err)
	}
	return replaced, nil
}

// setWatermark puts f in the place of the one that matches, and reports whether one does.
func (s *Store) setWatermark(ctx context.Context, id string, match bson.D, f streamWatermark) (bool, error) {
	result, err := s.own.UpdateOne(ctx,
		bson.D{expr.Field("_id", id), expr.Field("streams", bson.D{expr.Field("$elemMatch", match)})},
		bson.D{expr.Field("$set", bson.D{expr.Field("streams.$", f)})})
	if err != nil {
		return false, err
	}
	return result.MatchedCount > 0, nil
}
