package sizing

import (
	"fmt"
	"runtime"
	"testing"

	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// measureMemory is what the heap grows by with n marks in memory.
func measureMemory(tb testing.TB, n, idLength int) int64 {
	tb.Helper()
	store, err := memdedupe.New(&memdedupe.Options{MaxKeys: n})
	must(tb, err)
	live := liveHeap()
	markEvents(tb, store, n, idLength)
	grown := liveHeap() - live
	runtime.KeepAlive(store)
	return grown
}

// BenchmarkBytesMemory reports what a mark takes in memory: -benchtime 1000000x is for so
// many marks.
func BenchmarkBytesMemory(b *testing.B) {
	for _, length := range idLengths {
		b.Run(fmt.Sprintf("key=%d", keyLength(length)), func(b *testing.B) {
			report(b, "mem-B/mark", measureMemory(b, b.N, length))
		})
	}
}
