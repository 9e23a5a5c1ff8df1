package memory

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

const batch = 500

// batches makes n requests for keys with ids of 36 bytes, as UUIDs have.
func batches(n int) [][]dedupe.Request {
	hash := make([]byte, 32)
	var all [][]dedupe.Request
	for i := 0; i < n; i += batch {
		rs := make([]dedupe.Request, min(batch, n-i))
		for j := range rs {
			rs[j] = dedupe.Request{
				Key:   dedupe.Key{Topic: "orders.created", Group: "billing", ID: fmt.Sprintf("01920000-0000-7000-8000-%012x", i+j)},
				Nonce: fmt.Sprintf("nonce-%d", i+j), Hash: hash, Lease: 30 * time.Second, TTL: 7 * 24 * time.Hour,
			}
		}
		all = append(all, rs)
	}
	return all
}

// finish claims and marks a batch.
func finish(tb testing.TB, s *Store, rs []dedupe.Request) {
	tb.Helper()
	cs, err := s.Claim(tb.Context(), rs)
	if err != nil {
		tb.Fatal(err)
	}
	ss := make([]dedupe.Settlement, len(cs))
	for i, c := range cs {
		if c.State != dedupe.Fresh {
			tb.Fatalf("%s: %v", c.Key, c.State)
		}
		ss[i] = dedupe.Settlement{Claim: c, Outcome: dedupe.Succeeded, TTL: rs[i].TTL}
	}
	errs, err := s.Settle(tb.Context(), ss)
	if err != nil {
		tb.Fatal(err)
	}
	for i, err := range errs {
		if err != nil {
			tb.Fatalf("%s: %v", cs[i].Key, err)
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// bytesPerKey fills a store with done keys, one batch of requests at a time, so that what is left
// is the store's.
func bytesPerKey(tb testing.TB, n int) float64 {
	tb.Helper()
	s := open(tb, &Options{MaxKeys: n})
	before := heap()
	for _, rs := range batches(n) {
		finish(tb, s, rs)
	}
	per := float64(heap()-before) / float64(n)
	runtime.KeepAlive(s)
	return per
}

// BenchmarkBytesPerKey reports what a done key costs, at a million of them.
func BenchmarkBytesPerKey(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(bytesPerKey(b, 1_000_000), "bytes/key")
	}
}

// BenchmarkClaimSettle claims and marks fresh keys in batches. Its baseline is what any store in
// memory must do: a map that is written once and read once for each key.
func BenchmarkClaimSettle(b *testing.B) {
	const n = 200_000
	all := batches(n)
	start := time.Now()
	for range 2 {
		marks := make(map[dedupe.Key]time.Time)
		for _, rs := range all {
			for _, r := range rs {
				marks[r.Key] = start
			}
			for _, r := range rs {
				marks[r.Key] = marks[r.Key].Add(r.TTL)
			}
		}
	}
	baseline := 2 * n / time.Since(start).Seconds()
	b.ReportAllocs()
	var spent time.Duration
	for b.Loop() {
		s := open(b, nil)
		start = time.Now()
		for _, rs := range all {
			finish(b, s, rs)
		}
		spent += time.Since(start)
	}
	rate := float64(n*b.N) / spent.Seconds()
	b.ReportMetric(rate, "keys/s")
	b.ReportMetric(rate/baseline, "of-baseline")
}

// BenchmarkDuplicates claims keys that are done.
func BenchmarkDuplicates(b *testing.B) {
	s, all := open(b, nil), batches(100_000)
	for _, rs := range all {
		finish(b, s, rs)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := s.Claim(b.Context(), all[i%len(all)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "keys/s")
}
