package benchmark

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/onceish/onceish/bus"
)

// projectedHistory is a history of so many events, with the keys 0 to projected-1.
type projectedHistory int

// Read implements bus.Reader.
func (h projectedHistory) Read(_ context.Context, pattern string, r bus.Range) iter.Seq2[bus.Stored, error] {
	return func(yield func(bus.Stored, error) bool) {
		for i := int(r.From.After.Sequence); i < int(h); i++ {
			s := bus.Stored{
				Event: bus.Event{ID: fmt.Sprint(i), Topic: pattern, Key: fmt.Sprint(i % projected)},
				At:    bus.Position{Stream: "events@1", Sequence: uint64(i + 1), Stored: time.Unix(0, int64(i+1))},
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Topic implements projector.History.
func (h projectedHistory) Topic(context.Context, string, string, bus.Start) (bus.TopicInfo, error) {
	return bus.TopicInfo{First: bus.Position{Stream: "events@1", Sequence: 1}, Last: bus.Position{Stream: "events@1", Sequence: uint64(h)}}, nil
}
