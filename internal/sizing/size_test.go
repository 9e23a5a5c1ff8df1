package sizing

import (
	"fmt"
	"math"
	"testing"
	"time"

	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// TestFiguresAreThoseOfTheStores: an estimate is within a quarter of what a store takes, as far as
// that does not depend on the server's caches.
func TestFiguresAreThoseOfTheStores(t *testing.T) {
	const n = 10_000
	for _, id := range idLengths {
		t.Run(fmt.Sprintf("key=%d", keyLength(id)), func(t *testing.T) {
			load := Load{Rate: n, TTL: time.Second, KeyLength: keyLength(id)}
			isNear(t, "heap", measureMemory(t, n, id), Memory.Estimate(load).Memory)
			bucket := measureBucket(t, n, id)
			isNear(t, "data of a bucket", bucket.stored, KV.Estimate(load).Data)
			isNear(t, "files of a bucket", bucket.disk, KV.Estimate(load).Disk)
		})
	}
	t.Run("letters", func(t *testing.T) {
		letters := measureLetters(t, 1000)
		isNear(t, "data", letters.stored, Letters(1000, payload).Data)
		isNear(t, "files", letters.disk, Letters(1000, payload).Disk)
	})
}

// TestFiguresAreThoseOfMongoDB: of its documents, which are the same on every server.
func TestFiguresAreThoseOfMongoDB(t *testing.T) {
	const n = 2000
	for _, id := range idLengths {
		load := Load{Rate: n, TTL: time.Second, KeyLength: keyLength(id)}
		isNear(t, "documents", measureMarks(t, n, id).documents, Mongo.Estimate(load).Data)
	}
	isNear(t, "rows", measureRows(t, n).documents, Outbox(n, time.Second, payload).Data)
}

func isNear(t *testing.T, what string, measured int64, estimated float64) {
	t.Helper()
	if off := math.Abs(float64(measured)/estimated - 1); off > 0.25 {
		t.Errorf("%s: %d bytes, estimated %.0f: %.0f %% off: measure with -bench Bytes, and change the figures here and in docs/sizing.md",
			what, measured, estimated, 100*off)
	}
}

func TestMemoryStoreHoldsWhatIsSaid(t *testing.T) {
	if MemoryKeys != memdedupe.DefaultMaxKeys {
		t.Errorf("MemoryKeys is %d, and the store keeps %d", MemoryKeys, memdedupe.DefaultMaxKeys)
	}
	full := Load{Rate: 1, TTL: MemoryKeys * time.Second}
	if fits, why := Memory.Verdict(Memory.Estimate(full)); !fits {
		t.Error(why)
	}
	full.TTL += time.Second
	if fits, why := Memory.Verdict(Memory.Estimate(full)); fits || why != "does not fit: the memory store holds 1,000,000 keys" {
		t.Error(fits, why)
	}
}

// TestVerdictIsOfTheMemory of the server.
func TestVerdictIsOfTheMemory(t *testing.T) {
	for s, want := range map[Store]string{
		KV: "does not fit in 64 GiB of memory", Mongo: "slow: the indexes do not fit in 64 GiB of memory",
	} {
		week := Load{Rate: 10, TTL: 7 * 24 * time.Hour, KeyLength: DefaultKeyLength}
		if fits, why := s.Verdict(s.Estimate(week)); !fits || why != "fits in 64 GiB of memory" {
			t.Errorf("%s: %v, %s", s, fits, why)
		}
		week.Rate = 1e6
		if fits, why := s.Verdict(s.Estimate(week)); fits || why != want {
			t.Errorf("%s: %v, %s", s, fits, why)
		}
	}
}

func TestNumbersAreReadable(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 302_400_000: "302,400,000"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%v) is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0 B", 900: "900 B", 1536: "1.5 KiB", 64 << 30: "64 GiB", 1e24: "867362 EiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%v) is %s, want %s", n, got, want)
		}
	}
}
