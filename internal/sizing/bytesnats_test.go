package sizing

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// bucketBytes is what marks in a bucket take.
type bucketBytes struct {
	stored int64 // by the server's own count: subject, headers and value, each with what frames it
	disk   int64 // the files
	memory int64 // live heap of the server
	held   int64 // with the garbage of writing
	again  int64 // live heap after a restart
}

func measureBucket(tb testing.TB, n, idLength int) (b bucketBytes) {
	tb.Helper()
	var dir string
	s := natstest.Start(tb, func(o *server.Options) { dir = o.StoreDir })
	nc := s.Connect(tb)
	store, err := kvdedupe.New(tb.Context(), nc, &kvdedupe.Options{Logger: quiet})
	must(tb, err)
	live, held := liveHeap(), heldMemory()
	markEvents(tb, store, n, idLength)
	b.held = heldMemory() - held
	b.memory = liveHeap() - live
	js, err := jetstream.New(nc)
	must(tb, err)
	stream, err := js.Stream(tb.Context(), "KV_"+kvdedupe.DefaultBucket)
	must(tb, err)
	b.stored = int64(stream.CachedInfo().State.Bytes)
	must(tb, store.Close())
	s.Stop()
	b.disk = diskUsage(tb, dir, "KV_"+kvdedupe.DefaultBucket)
	live = liveHeap()
	s.Start(tb)
	b.again = liveHeap() - live
	return b
}

// diskUsage is the size of a stream's files in a server's store.
func diskUsage(tb testing.TB, store, stream string) (sum int64) {
	tb.Helper()
	must(tb, filepath.WalkDir(filepath.Join(store, "jetstream", "$G", "streams", stream), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		sum += info.Size()
		return err
	}))
	return sum
}

// BenchmarkBytesKV reports what a mark takes in a key-value bucket: -benchtime 1000000x is for so
// many marks.
func BenchmarkBytesKV(b *testing.B) {
	for _, length := range idLengths {
		b.Run(fmt.Sprintf("key=%d", keyLength(length)), func(b *testing.B) {
			m := measureBucket(b, b.N, length)
			report(b, "stored-B/mark", m.stored)
			report(b, "disk-B/mark", m.disk)
			report(b, "mem-B/mark", m.memory)
			report(b, "held-B/mark", m.held)
			report(b, "restart-B/mark", m.again)
		})
	}
}

func report(b *testing.B, unit string, bytes int64) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(bytes)/float64(b.N), unit)
}
