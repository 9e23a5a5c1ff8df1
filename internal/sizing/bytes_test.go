package sizing

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

const (
	topic   = "order.placed"
	group   = "billing"
	ttl     = 7 * 24 * time.Hour
	perCall = 500
	// payload is how many bytes of data the measured events have.
	payload = 256
)

var quiet = slog.New(slog.DiscardHandler)

// idLengths are those of a UUID, and of a UUID behind a prefix.
var idLengths = []int{36, 136}

// keyLength is the length of a key with an id of so many bytes.
func keyLength(id int) int {
	return len(dedupe.Key{Topic: topic, Group: group, ID: strings.Repeat("x", id)}.String())
}

// newIDs returns a function that makes random UUIDs, with a prefix where ids are longer. They are
// the same in every run.
func newIDs(length int) func() string {
	random, prefix := mathrand.NewChaCha8([32]byte{}), strings.Repeat("p", length-36)
	return func() string {
		var b [16]byte
		_, _ = random.Read(b[:])
		return fmt.Sprintf("%s%x-%x-%x-%x-%x", prefix, b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
}

// randomData is a payload that no server can compress.
func randomData() []byte {
	data := make([]byte, payload)
	_, _ = rand.Read(data)
	return data
}

// markEvents claims and marks n events as a subscription does.
func markEvents(tb testing.TB, store dedupe.Claimer, n, idLength int) {
	tb.Helper()
	id, owner := newIDs(idLength), rand.Text()+"-"
	for done := 0; done < n; done += perCall {
		requests := make([]dedupe.Request, min(perCall, n-done))
		for i := range requests {
			key := dedupe.Key{Topic: topic, Group: group, ID: id()}
			hash := consumer.Bytes(bus.Event{ID: key.ID, Topic: topic, Data: []byte(key.ID)})
			requests[i] = dedupe.Request{Key: key, Nonce: owner + strconv.Itoa(done+i), Hash: hash, Lease: 30 * time.Second, TTL: ttl}
		}
		claims, err := store.Claim(tb.Context(), requests)
		must(tb, err)
		settlements := make([]dedupe.Settlement, len(claims))
		for i, c := range claims {
			must(tb, c.Err)
			settlements[i] = dedupe.Settlement{Claim: c, Outcome: dedupe.Succeeded, TTL: ttl}
		}
		errs, err := store.Settle(tb.Context(), settlements)
		must(tb, errors.Join(append(errs, err)...))
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// liveHeap is what the heap holds after a collection.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// heldMemory is what the process holds of the operating system's memory, garbage included.
func heldMemory() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}
