package mongodoc_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/mongodoc"
)

// BenchmarkUpdateOnce changes documents of 256 bytes, and compares with plain UpdateOnes. The two
// take short turns, of which the medians count: whatever else the machine does meets both.
func BenchmarkUpdateOnce(b *testing.B) {
	client := connect(b, options.Client().ApplyURI(mongotest.URI(b)))
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			r := newRace(b, client, inFlight)
			var plain, ours []time.Duration
			for b.Loop() {
				plain = append(plain, r.heat(r.plain))
				ours = append(ours, r.heat(r.once))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(heat/median(ours).Seconds(), "updates/s")
			b.ReportMetric(median(plain).Seconds()/median(ours).Seconds(), "x/UpdateOne")
		})
	}
}

func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}

const (
	// documents that changes take turns with: none is changed often enough for its marks to be
	// looked through.
	documents = 2000
	// heat is how many updates one takes its turn for.
	heat = 200
)

type race struct {
	b     *testing.B
	s     *mongodoc.Updater
	colls [2]*driver.Collection // plain, and with marks
	n     atomic.Int64
	many  int // at a time
}

func newRace(b *testing.B, client *driver.Client, many int) *race {
	b.Helper()
	db := client.Database(mongotest.Database(b).Name())
	s := newUpdater(b, db.Collection("dedupe"), nil)
	r := &race{b: b, s: s, many: many}
	for i, name := range []string{"plain", "once"} {
		r.colls[i] = db.Collection(name, options.Collection().SetWriteConcern(writeconcern.Majority()))
		docs := make([]any, documents)
		for n := range docs {
			docs[n] = d("_id", n, "n", 0, "data", make([]byte, 256))
		}
		if _, err := r.colls[i].InsertMany(b.Context(), docs); err != nil {
			b.Fatal(err)
		}
	}
	return r
}

// heat is one turn.
func (r *race) heat(update func(ctx context.Context, n int64) error) time.Duration {
	var left atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range r.many {
		wg.Go(func() {
			for left.Add(1) <= heat {
				if err := update(r.b.Context(), r.n.Add(1)); err != nil {
					r.b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

var increment = d("$inc", d("n", 1))

// plain is bounded in time as calls of a store are.
func (r *race) plain(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := r.colls[0].UpdateOne(ctx, d("_id", n%documents), increment)
	return err
}

func (r *race) once(ctx context.Context, n int64) error {
	_, err := r.s.UpdateOnce(ctx, r.colls[1], d("_id", n%documents), increment, &mongodoc.UpdateOptions{Key: orderKey(fmt.Sprint(n))})
	return err
}
