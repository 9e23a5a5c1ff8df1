package worker

import (
	"context"
	"math"
	"time"

	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/sizing"
)

const (
	// leastRetained is over how long the rate of a topic is measured at least: what was published
	// within less may be a burst.
	leastRetained = 24 * time.Hour
	// muchDisk is how much marks may take in a store without bounds before it is said, in bytes.
	muchDisk = 10 << 30
)

// retainer is a bus that counts what a stream has of a topic, see natsbus.Bus.Retained.
type retainer interface {
	Retained(ctx context.Context, topic string) (events uint64, over time.Duration, err error)
}

// expectedMarks is what marks of the worker's events will take, at the rate at which their streams
// took events so far.
type expectedMarks struct {
	sizing.Size

	rate float64 // events per second
	ttl  time.Duration
}

// reportMarkRoom warns of a store that will be full before marks expire. What the bus does not
// report is not known.
func (w *Worker) reportMarkRoom(ctx context.Context, store dedupe.Store, subs []runningSubscription) {
	source, ok := w.conns.Bus().(retainer)
	if !ok || len(subs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var expected expectedMarks
	for _, s := range subs {
		events, over, err := source.Retained(ctx, s.topic)
		if err != nil {
			w.o.Logger.Debug("how many marks there will be is not known", "topic", s.topic, "error", err)
			return
		}
		rate := float64(events) / max(over, leastRetained).Seconds()
		expected.add(storeKind(store), sizing.Load{
			Rate: rate, TTL: s.options.TTL, KeyLength: len(s.topic) + len(w.group) + sizing.DefaultKeyLength - len("order.placed") - len("billing"),
		})
	}
	w.logMarkRoom(store, &expected)
}

func (e *expectedMarks) add(kind sizing.Store, l sizing.Load) {
	n := kind.Estimate(l)
	e.rate += l.Rate
	e.ttl = max(e.ttl, l.TTL)
	e.Keys, e.Data, e.Disk, e.Index, e.Memory = e.Keys+n.Keys, e.Data+n.Data, e.Disk+n.Disk, e.Index+n.Index, e.Memory+n.Memory
}

func (w *Worker) logMarkRoom(store dedupe.Store, e *expectedMarks) {
	attrs := []any{"events_per_second", math.Round(1000*e.rate) / 1000, "ttl", e.ttl, "marks", sizing.Count(e.Keys)}
	var bounds dedupe.Bounds
	if b, ok := store.(dedupe.Bounder); ok {
		bounds = b.Bounds()
	}
	const full = "the dedupe store will be full before marks expire, and new events wait then: shorten the TTL, raise the store's bound, or use another store"
	switch {
	case bounds.Keys > 0 && e.Keys > float64(bounds.Keys):
		w.o.Logger.Warn(full, append(attrs, "fit", sizing.Count(float64(bounds.Keys)))...)
	case bounds.Bytes > 0 && e.Data > float64(bounds.Bytes):
		w.o.Logger.Warn(full, append(attrs, "bytes", sizing.Bytes(e.Data), "fit", sizing.Bytes(float64(bounds.Bytes)))...)
	case e.Disk+e.Index > muchDisk:
		w.o.Logger.Info("marks will take much room: see worker size", append(attrs, "disk", sizing.Bytes(e.Disk+e.Index), "memory", sizing.Bytes(e.Memory))...)
	}
}

// storeKind is what the figures of package sizing know a store as.
func storeKind(store dedupe.Store) sizing.Store {
	switch store.(type) {
	case *mongodedupe.Store:
		return sizing.Mongo
	case *kvdedupe.Store:
		return sizing.KV
	}
	return sizing.Memory
}
