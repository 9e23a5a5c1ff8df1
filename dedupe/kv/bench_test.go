package kv

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// BenchmarkClaimMark claims and settles events in batches of 500. Its ratio is to the same
// operations of the bucket, pipelined by themselves through PublishMsgAsync in the same run: a
// create and an update of each key.
func BenchmarkClaimMark(b *testing.B) {
	const size = 500
	nc := natstest.Start(b, nil).Connect(b)
	store := newStore(b, nc, bucketOptions())
	raw := newRaw(b, nc)
	var ours, theirs time.Duration
	n := 0
	for b.Loop() {
		n++
		// Alternating keeps what else the machine does from counting on one side only.
		start := time.Now()
		claimMark(b, store, n, size)
		ours += time.Since(start)
		start = time.Now()
		raw.claimMark(b, n, size)
		theirs += time.Since(start)
	}
	events := float64(n * size)
	b.ReportMetric(events/ours.Seconds(), "events/s")
	b.ReportMetric(events/theirs.Seconds(), "baseline-events/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
}

func benchKey(batch, i int) dedupe.Key {
	return dedupe.Key{Topic: "orders.created", Group: "billing", ID: fmt.Sprintf("order-%d-%d", batch, i)}
}

var benchHash = make([]byte, 32)

func claimMark(b *testing.B, s *Store, batch, size int) {
	rs := make([]dedupe.Request, size)
	for i := range rs {
		rs[i] = dedupe.Request{
			Key: benchKey(batch, i), Nonce: fmt.Sprintf("nonce-of-22-chars-%d-%d", batch, i), Hash: benchHash,
			Lease: 30 * time.Second, TTL: 7 * 24 * time.Hour,
		}
	}
	claims, err := s.Claim(b.Context(), rs)
	if err != nil {
		b.Fatal(err)
	}
	ss := make([]dedupe.Settlement, size)
	for i, c := range claims {
		ss[i] = dedupe.Settlement{Claim: c, Outcome: dedupe.Succeeded, TTL: 7 * 24 * time.Hour}
	}
	errs, err := s.Settle(b.Context(), ss)
	if err != nil {
		b.Fatal(err)
	}
	for i, err := range errs {
		if err != nil {
			b.Fatalf("claim %d: %v", i, err)
		}
	}
}

// raw is the bucket without a store.
type raw struct {
	js     jetstream.JetStream
	prefix string
}

func newRaw(b *testing.B, nc *nats.Conn) *raw {
	b.Helper()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(DefaultWindow))
	if err != nil {
		b.Fatal(err)
	}
	o := bucketOptions()
	if _, err := js.CreateStream(context.Background(), bucketConfig(o)); err != nil {
		b.Fatal(err)
	}
	return &raw{js: js, prefix: "$KV." + o.Bucket + "."}
}

func (r *raw) claimMark(b *testing.B, batch, size int) {
	value := make([]byte, 190)
	revisions := make([]uint64, size)
	for range 2 {
		futures := make([]jetstream.PubAckFuture, size)
		for i := range futures {
			m := nats.NewMsg(r.prefix + eventKey(benchKey(batch, i)))
			m.Data = value
			m.Header.Set("Nats-Expected-Last-Subject-Sequence", expectRevision(revisions[i]))
			m.Header.Set("Nats-TTL", "604800")
			f, err := r.js.PublishMsgAsync(m)
			if err != nil {
				b.Fatal(err)
			}
			futures[i] = f
		}
		for i, f := range futures {
			select {
			case ack := <-f.Ok():
				revisions[i] = ack.Sequence
			case err := <-f.Err():
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkDuplicates claims keys that are done, in batches of 500: each costs a refused create and
// a read of the leader. Its ratio is to claiming and settling fresh ones.
func BenchmarkDuplicates(b *testing.B) {
	const size = 500
	store := newStore(b, natstest.Start(b, nil).Connect(b), bucketOptions())
	var fresh, again time.Duration
	n := 0
	for b.Loop() {
		n++
		start := time.Now()
		claimMark(b, store, n, size)
		fresh += time.Since(start)
		rs := make([]dedupe.Request, size)
		for i := range rs {
			rs[i] = dedupe.Request{Key: benchKey(n, i), Nonce: fmt.Sprint("other", n, i), Lease: time.Minute, TTL: time.Hour}
		}
		start = time.Now()
		claims, err := store.Claim(b.Context(), rs)
		again += time.Since(start)
		if err != nil || claims[size-1].State != dedupe.Done {
			b.Fatalf("claim of a done key: %v, %v", claims, err)
		}
	}
	b.ReportMetric(float64(n*size)/again.Seconds(), "duplicates/s")
	b.ReportMetric(fresh.Seconds()/again.Seconds(), "ratio")
}
