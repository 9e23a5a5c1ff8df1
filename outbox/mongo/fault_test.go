package mongo_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// wired is an outbox behind a proxy, and the same without. The first one's client tries nothing
// again by itself.
func wired(t *testing.T) (behind, direct *mongooutbox.Queue, w *mongowire.Proxy) {
	t.Helper()
	w = mongowire.New(t, mongotest.URI(t))
	coll := collection(t, options.Client().ApplyURI(mongotest.URI(t)))
	client := connect(t, options.Client().ApplyURI(w.URI()).SetRetryReads(false).SetRetryWrites(false))
	return open(t, client.Database(coll.Database().Name()).Collection(coll.Name()), nil), open(t, coll, nil), w
}

// Every call is repeated after each of its commands was lost, or its answer was; what comes of it
// is as if nothing had been.
func TestLostCommands(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{true, false} {
		for n := range 3 {
			t.Run(fmt.Sprintf("command=%d applied=%t", n, applied), func(t *testing.T) {
				t.Parallel()
				q, direct, w := wired(t)
				lost := func(what string, call func() error) {
					t.Helper()
					fired := w.Cut(n, applied)
					err := call()
					if hit := fired(); hit != (err != nil) {
						t.Errorf("%s: %v; the fault fired: %t", what, err, hit)
					}
					if err != nil {
						err = call()
					}
					if err != nil {
						t.Fatalf("%s, repeated: %v", what, err)
					}
				}
				ctx := t.Context()
				lost("add", func() error {
					_, err := q.AddAlone(ctx, placed("a"), placed("b"), placed("c"), placed("d"))
					return err
				})
				var leases []outbox.Lease
				lost("acquire", func() (err error) { leases, err = q.Acquire(ctx, "me", time.Minute); return err })
				if len(leases) != outbox.DefaultPartitions || leases[0].Token != 1 {
					t.Errorf("%d leases, the first with token %d", len(leases), leases[0].Token)
				}
				var page outbox.Page
				lost("pending", func() (err error) { page, err = q.Pending(ctx, everything); return err })
				rs := results(page.Rows, leases)
				rs[1].Outcome, rs[2].Outcome, rs[2].Attempt = outbox.Refused, outbox.GivenUp, true
				lost("settle", func() error {
					oks, err := q.Settle(ctx, rs)
					if err == nil && slices.Contains(oks, false) {
						t.Errorf("settled %v", oks)
					}
					return err
				})
				rows := must[[]outbox.Row](t)(direct.List(ctx, outbox.Filter{}, 10))
				for i, want := range []string{"a sent 0", "b pending 1", "c dead 1", "d sent 0"} {
					if got := fmt.Sprint(rows[i].Event.ID, " ", rows[i].Status, " ", rows[i].Attempts); got != want {
						t.Errorf("row %s; want %s", got, want)
					}
				}
				lost("retry", func() error { _, err := q.Retry(ctx, outbox.Filter{Topic: ">"}); return err })
				lost("release", func() error { return q.Release(ctx, "me", leases) })
				if got := must[[]outbox.Lease](t)(direct.Acquire(ctx, "other", time.Minute)); len(got) != outbox.DefaultPartitions {
					t.Errorf("another got %d partitions", len(got))
				}
			})
		}
	}
}

// A page in which the server missed a row ends, for that row's key, before it.
func TestTornPage(t *testing.T) {
	t.Parallel()
	q, direct, w := wired(t)
	for _, key := range []string{"x", "y"} {
		for i := range 4 {
			must[[]string](t)(direct.AddAlone(t.Context(), bus.Event{ID: fmt.Sprint(key, i), Topic: "t", Key: key}))
		}
	}
	w.Rewrite(func(command string, reply bson.D) bson.D {
		if command != "aggregate" {
			return reply
		}
		cursor, _ := mongowire.Get(reply, "cursor").(bson.D)
		rows, _ := mongowire.Get(cursor, "firstBatch").(bson.A)
		rows = slices.DeleteFunc(rows, func(r any) bool { d, _ := r.(bson.D); return mongowire.Get(d, "_id") == "x2 t" })
		return mongowire.With(reply, "cursor", mongowire.With(cursor, "firstBatch", rows))
	})
	got := pending(t, q)
	slices.Sort(got)
	if want := []string{"x0", "x1", "y0", "y1", "y2", "y3"}; !slices.Equal(got, want) {
		t.Errorf("pending %v; want %v: x3 comes behind x2, which was missed", got, want)
	}
}

// A dead row that is retried while a page is read is not passed.
func TestRetriedMeanwhile(t *testing.T) {
	t.Parallel()
	q, direct, w := wired(t)
	must[[]string](t)(direct.AddAlone(t.Context(), placed("a"), placed("b")))
	leases := must[[]outbox.Lease](t)(direct.Acquire(t.Context(), "me", time.Minute))
	rs := results(must[outbox.Page](t)(direct.Pending(t.Context(), everything)).Rows, leases)[:1]
	rs[0].Outcome = outbox.GivenUp
	must[[]bool](t)(direct.Settle(t.Context(), rs))
	var once sync.Once
	w.Rewrite(func(command string, reply bson.D) bson.D {
		if command == "aggregate" {
			once.Do(func() {
				if n, err := direct.Retry(t.Context(), outbox.Filter{Key: "k"}); err != nil || n != 1 {
					t.Errorf("Retry: %d, %v", n, err)
				}
			})
		}
		return reply
	})
	if got := pending(t, q); len(got) != 0 {
		t.Errorf("pending %v; want none: the page was read when a was dead", got)
	}
	if got := pending(t, q); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("then pending %v; want a and b", got)
	}
}

// A batch of which the server fails a part is said again, and what was done is found done.
func TestPartialSettle(t *testing.T) {
	t.Parallel()
	q, _, w := wired(t)
	must[[]string](t)(q.AddRowsAlone(t.Context(), keyed(10)...))
	leases := must[[]outbox.Lease](t)(q.Acquire(t.Context(), "me", time.Minute))
	rs := results(must[outbox.Page](t)(q.Pending(t.Context(), everything)).Rows, leases)
	fired := w.Spoil(rs[4].ID)
	if oks, err := q.Settle(t.Context(), rs); err == nil || !fired() {
		t.Fatalf("settled %v, and a part had failed", oks)
	}
	if oks, err := q.Settle(t.Context(), rs); err != nil || slices.Contains(oks, false) {
		t.Errorf("said again: %v, %v", oks, err)
	}
	if c := must[outbox.Counts](t)(q.Count(t.Context())); c.Sent != 10 {
		t.Errorf("%+v; want 10 sent", c)
	}
}

// The lease counts by the server's clock alone, when the write is carried out.
func TestFencedByServerTime(t *testing.T) {
	t.Parallel()
	q, direct, w := wired(t)
	must[[]string](t)(q.AddAlone(t.Context(), placed("a")))
	leases := must[[]outbox.Lease](t)(q.Acquire(t.Context(), "me", 300*time.Millisecond))
	rs := results(must[outbox.Page](t)(q.Pending(t.Context(), everything)).Rows, leases)
	w.Slow(400 * time.Millisecond) // it is sent in time, and arrives late
	oks, err := q.Settle(t.Context(), rs)
	if err != nil || oks[0] {
		t.Errorf("settled %v, %v; want it fenced", oks, err)
	}
	if got := pending(t, direct); !slices.Equal(got, []string{"a"}) {
		t.Errorf("pending %v; want a", got)
	}
}

// patience is longer than any call takes on a machine that has much else to do.
const patience = time.Minute

// journal is a bus that takes note of first publications.
type journal struct {
	mu    sync.Mutex
	known map[string]bool
	keys  map[string][]string
	each  func(n int)
}

// Publish implements bus.Publisher.
func (j *journal) Publish(_ context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range events {
		if !j.known[e.ID] {
			j.known[e.ID] = true
			j.keys[e.Key] = append(j.keys[e.Key], e.ID)
		}
	}
	j.each(len(j.known))
	return make([]bus.Receipt, len(events)), nil
}

// The server goes in the middle of a batch, and comes back: all is published, in order per
// key, and marked.
func TestServerGoneMidBatch(t *testing.T) {
	t.Parallel()
	coll := collection(t, options.Client().ApplyURI(mongotest.URI(t)))
	host, _, _ := strings.Cut(strings.TrimPrefix(mongotest.URI(t), "mongodb://"), "/")
	p, err := proxy.New(host)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	client := connect(t, options.Client().ApplyURI("mongodb://"+p.Addr()+"/?directConnection=true"))
	q := open(t, client.Database(coll.Database().Name()).Collection(coll.Name()), &mongooutbox.Options{Timeout: patience})
	const keys, each = 20, 50
	var rows []outbox.Row
	for i := range each {
		for k := range keys {
			rows = append(rows, outbox.Row{Event: bus.Event{ID: fmt.Sprintf("%02d-%03d", k, i), Topic: "t", Key: fmt.Sprint(k)}})
		}
	}
	direct := open(t, coll, nil)
	must[[]string](t)(direct.AddRowsAlone(t.Context(), rows...))
	gone := make(chan struct{})
	var once sync.Once
	j := &journal{known: map[string]bool{}, keys: map[string][]string{}, each: func(n int) {
		if n > len(rows)/4 {
			once.Do(func() { p.Refuse(true); p.Cut(); close(gone) })
		}
	}}
	d, err := outbox.NewDrainer(q, j, &outbox.Options{Lease: 5 * time.Second, MaxRows: 200})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	var drained sync.WaitGroup
	drained.Go(func() { _ = d.Run(ctx) })
	select {
	case <-gone:
	case <-ctx.Done():
		t.Error("the server did not go: too few events were published")
	}
	for d.Healthy() == nil && ctx.Err() == nil { // until it knows
		time.Sleep(10 * time.Millisecond)
	}
	p.Refuse(false)
	for c := (outbox.Counts{}); c.Sent < len(rows) && ctx.Err() == nil; c = must[outbox.Counts](t)(direct.Count(t.Context())) {
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
	drained.Wait()
	for k, ids := range j.keys {
		if len(ids) != each || !slices.IsSorted(ids) {
			t.Errorf("key %s: first publications %v", k, ids)
		}
	}
	if len(j.known) != len(rows) {
		t.Errorf("%d of %d published", len(j.known), len(rows))
	}
}
