package sizing

import (
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// measureRows is what rows of an outbox take that were sent.
func measureRows(tb testing.TB, n int) collectionBytes {
	tb.Helper()
	coll := mongotest.Collection(tb)
	queue, err := mongooutbox.New(tb.Context(), coll, nil)
	must(tb, err)
	leases, err := queue.Acquire(tb.Context(), "drainer", time.Hour)
	must(tb, err)
	id := newIDs(36)
	for done := 0; done < n; done += perCall {
		events := make([]bus.Event, min(perCall, n-done))
		for i := range events {
			events[i] = bus.Event{ID: id(), Topic: topic, Key: id(), Data: randomData()}
		}
		_, err := queue.AddAlone(tb.Context(), events...)
		must(tb, err)
		sendRows(tb, queue, leases)
	}
	return measureCollection(tb, coll)
}

// sendRows settles what is pending, as a drainer does once it is published.
func sendRows(tb testing.TB, queue *mongooutbox.Queue, leases []outbox.Lease) {
	tb.Helper()
	page, err := queue.Pending(tb.Context(), outbox.Ask{To: outbox.MaxHash, Rows: perCall, Bytes: 16 << 20})
	must(tb, err)
	results := make([]outbox.Result, len(page.Rows))
	for i, row := range page.Rows {
		results[i] = outbox.Result{Lease: leases[outbox.PartitionOf(row.Hash, len(leases))], ID: row.ID, Version: row.Version}
	}
	_, err = queue.Settle(tb.Context(), results)
	must(tb, err)
}

// BenchmarkBytesOutbox reports what a row of an outbox takes in MongoDB: -benchtime 1000000x is for
// so many rows.
func BenchmarkBytesOutbox(b *testing.B) { reportCollection(b, "row", measureRows(b, b.N)) }
