package mongo_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// recorder keeps the commands that a client sends, but for those that ask for the time.
type recorder struct {
	mu       sync.Mutex
	commands []bson.Raw
}

func (r *recorder) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if e.CommandName != "hello" {
			r.commands = append(r.commands, slices.Clone(e.Command))
		}
	}}
}

// take returns what was sent since it was last called.
func (r *recorder) take() []bson.Raw {
	r.mu.Lock()
	defer r.mu.Unlock()
	cs := r.commands
	r.commands = nil
	return cs
}

func names(cs []bson.Raw) (all []string) {
	for _, c := range cs {
		if e, err := c.IndexErr(0); err == nil {
			all = append(all, e.Key())
		}
	}
	return all
}

// recorded is an outbox on a client whose own concerns are the weakest there are.
func recorded(t *testing.T) (*mongooutbox.Queue, *driver.Collection, *recorder) {
	t.Helper()
	r := &recorder{}
	coll := collection(t, options.Client().ApplyURI(mongotest.URI(t)).SetMonitor(r.monitor()).
		SetWriteConcern(writeconcern.Unacknowledged()).SetReadConcern(readconcern.Available()).SetReadPreference(readpref.Nearest()))
	q := open(t, coll, nil)
	r.take()
	return q, coll, r
}

// keyed are rows of as many keys.
func keyed(n int) []outbox.Row {
	rows := make([]outbox.Row, n)
	for i := range rows {
		id := time.Duration(i).String()
		rows[i].Event = bus.Event{ID: id, Topic: "orders.new", Key: "key " + id}
	}
	return rows
}

func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// results of the rows of a page, under the leases.
func results(rows []outbox.Row, leases []outbox.Lease) []outbox.Result {
	rs := make([]outbox.Result, len(rows))
	for i := range rows {
		for _, l := range leases {
			if l.First <= rows[i].Hash && rows[i].Hash <= l.Last {
				rs[i] = outbox.Result{Lease: l, ID: rows[i].ID, Version: rows[i].Version}
			}
		}
	}
	return rs
}

// Calls cost a few round trips however many rows they are about, with the concerns that they
// promise, whatever the client's.
func TestCommands(t *testing.T) {
	t.Parallel()
	q, _, r := recorded(t)
	expect := func(what string, want ...string) {
		t.Helper()
		sent := r.take()
		if got := names(sent); !slices.Equal(got, want) {
			t.Errorf("%s: sent %v; want %v", what, got, want)
		}
		for i, name := range names(sent) {
			if _, err := sent[i].LookupErr("autocommit"); err == nil {
				t.Errorf("%s: %s in a transaction", what, name)
			}
			w, _ := sent[i].Lookup("writeConcern", "w").StringValueOK()
			level, _ := sent[i].Lookup("readConcern", "level").StringValueOK()
			read := name == "aggregate" || name == "find"
			if read && level != "majority" || !read && w != "majority" {
				t.Errorf("%s: %s with w:%q, read concern %q; want majority", what, name, w, level)
			}
			if _, err := sent[i].LookupErr("maxTimeMS"); err != nil && !read {
				t.Errorf("%s: %s without a time limit", what, name)
			}
		}
	}
	ctx := t.Context()
	must[[]string](t)(q.AddRowsAlone(ctx, keyed(500)...))
	expect("add", "insert")
	must[[]string](t)(q.AddRowsAlone(ctx, keyed(500)...))
	expect("add again", "insert", "aggregate")
	must[[]string](t)(q.AddAlone(ctx, bus.Event{Topic: "t", Key: "k"}, bus.Event{Topic: "t", Key: "k"}))
	if sent := r.take(); len(sent) != 1 || !sent[0].Lookup("ordered").Boolean() {
		t.Errorf("rows of one key are added by %v; want one ordered insert", sent)
	}
	leases := must[[]outbox.Lease](t)(q.Acquire(ctx, "a", time.Minute))
	expect("acquire", "aggregate", "findAndModify")
	page := must[outbox.Page](t)(q.Pending(ctx, everything))
	expect("pending", "aggregate", "find", "find") // rows, dead ones, and what was missed
	must[outbox.Page](t)(q.Pending(ctx, outbox.Ask{To: outbox.MaxHash, Rows: 10_000, Bytes: 1 << 30, PastDead: true}))
	expect("pending past dead rows", "aggregate", "find")
	rs := results(page.Rows, leases)
	rs[7].Outcome, rs[8].Outcome, rs[9].Outcome = outbox.Refused, outbox.GivenUp, outbox.Refused
	must[[]bool](t)(q.Settle(ctx, rs))
	expect("settle", "update", "update") // of one row, and of many
	must[[]bool](t)(q.Settle(ctx, rs))
	expect("settle again", "update", "update", "aggregate")
	if err := q.Release(ctx, "a", leases); err != nil {
		t.Fatal(err)
	}
	expect("release", "aggregate", "findAndModify")
	must[outbox.Counts](t)(q.Count(ctx))
	expect("count", "aggregate", "aggregate", "aggregate", "aggregate", "aggregate", "find")
	must[[]outbox.Row](t)(q.List(ctx, outbox.Filter{}, 10))
	expect("list", "aggregate")
	must[int](t)(q.Retry(ctx, outbox.Filter{Topic: ">"}))
	expect("retry", "update")
	must[int](t)(q.Drop(ctx, outbox.Filter{Topic: ">"}))
	expect("drop", "delete")
	must[int](t)(q.Republish(ctx, ">", outbox.Moment{Time: time.Unix(0, 0)}, outbox.Moment{Ago: time.Nanosecond}))
	expect("republish", "update")
	scheduled := keyed(500)
	for i := range scheduled {
		scheduled[i].Event.Topic, scheduled[i].At = "scheduled", time.Now().Add(50*time.Millisecond)
	}
	must[[]string](t)(q.AddRowsAlone(ctx, scheduled...))
	expect("schedule", "insert")
	must[outbox.Change](t)(q.Move(ctx, outbox.RowID(&scheduled[0].Event), time.Now().Add(time.Hour)))
	expect("move", "update")
	must[outbox.Change](t)(q.Cancel(ctx, outbox.RowID(&scheduled[1].Event)))
	expect("cancel", "delete")
	must[outbox.Change](t)(q.Cancel(ctx, outbox.RowID(&scheduled[1].Event)))
	expect("cancel again", "delete", "aggregate")
	for left := 498; left > 0; {
		n := must[outbox.Released](t)(q.ReleaseDue(ctx, 1_000)).Rows
		if left -= n; n > 0 {
			expect("release", "aggregate", "update")
		} else {
			expect("release nothing", "aggregate")
		}
	}
}

// What a caller's transaction aborts is nobody else's.
func TestOutsideTransactions(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	_ = s.within(func(ctx context.Context) error {
		must[[]string](t)(s.queue.AddRowsAlone(ctx, keyed(3)...))
		leases := must[[]outbox.Lease](t)(s.queue.Acquire(ctx, "a", time.Minute))
		page := must[outbox.Page](t)(s.queue.Pending(ctx, everything))
		must[[]bool](t)(s.queue.Settle(ctx, results(page.Rows, leases)))
		must[outbox.Counts](t)(s.queue.Count(ctx))
		return context.Canceled
	})
	c, err := s.queue.Count(t.Context())
	if err != nil || c.Sent != 3 {
		t.Errorf("%+v, %v; want 3 sent rows", c, err)
	}
}
