package mongo_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// addMany adds rows in batches.
func addMany(tb testing.TB, q *mongooutbox.Queue, n int, key func(i int) string) {
	tb.Helper()
	for from := 0; from < n; from += 1_000 {
		rows := make([]outbox.Row, min(1_000, n-from))
		for i := range rows {
			rows[i].Event = bus.Event{ID: fmt.Sprintf("%s-%06d", key(from+i), from+i), Topic: "orders.new", Key: key(from + i), Data: make([]byte, 256)}
		}
		if _, err := q.AddRowsAlone(tb.Context(), rows...); err != nil {
			tb.Fatal(err)
		}
	}
}

// With 20,000 rows, a half of them of one key behind its dead head, all others are found in as many
// pages as they fill, and each command on the way is answered from an index.
func TestManyRows(t *testing.T) {
	t.Parallel()
	q, coll, r := recorded(t)
	const n = 10_000
	addMany(t, q, n, func(int) string { return "hot" })
	addMany(t, q, n, func(i int) string { return fmt.Sprint("key", i) })
	leases := must[[]outbox.Lease](t)(q.Acquire(t.Context(), "me", time.Hour))
	hash := outbox.Hash("hot", "")
	head := results(must[outbox.Page](t)(q.Pending(t.Context(), outbox.Ask{From: hash, To: hash, Rows: 1, Bytes: 1})).Rows, leases)
	if len(head) != 1 || head[0].ID != "hot-000000 orders.new" {
		t.Fatalf("the head is %+v", head)
	}
	head[0].Outcome = outbox.GivenUp
	must[[]bool](t)(q.Settle(t.Context(), head))
	r.take()
	found, pages := 0, 0
	for ask := (outbox.Ask{To: outbox.MaxHash, Rows: 2_000, Bytes: 1 << 30}); ; pages++ {
		p := must[outbox.Page](t)(q.Pending(t.Context(), ask))
		if slices.ContainsFunc(p.Rows, func(r outbox.Row) bool { return r.Event.Key == "hot" }) {
			t.Fatal("a row behind a dead head is in a page")
		}
		if found += len(p.Rows); p.Next == 0 {
			break
		}
		ask.From = p.Next
	}
	if found != n || pages > 2*n/2_000 {
		t.Errorf("%d rows in %d pages; want %d", found, pages, n)
	}
	p := must[outbox.Page](t)(q.Pending(t.Context(), outbox.Ask{To: outbox.MaxHash, Rows: 500, Bytes: 1 << 30}))
	must[[]bool](t)(q.Settle(t.Context(), results(p.Rows, leases)))
	must[outbox.Counts](t)(q.Count(t.Context()))
	must[[]outbox.Row](t)(q.List(t.Context(), outbox.Filter{Status: outbox.Dead}, 10))
	must[[]outbox.Row](t)(q.List(t.Context(), outbox.Filter{Key: "hot"}, 10))
	explained(t, coll, r.take())
}

// explained has the server say how it answers commands: one of each shape.
func explained(t *testing.T, coll *driver.Collection, sent []bson.Raw) {
	t.Helper()
	shapes := map[string]bool{}
	for _, raw := range sent {
		var cmd bson.D
		if err := bson.Unmarshal(raw, &cmd); err != nil {
			t.Fatal(err)
		}
		name := cmd[0].Key
		if on, is := cmd[0].Value.(string); is && on != coll.Name() {
			continue // such as the registry, of which all is read
		}
		if name == "update" { // not every server explains these, but all explain what they look for
			cmd = looking(cmd)
		}
		cmd = slices.DeleteFunc(cmd, func(e bson.E) bool {
			return slices.Contains([]string{"lsid", "$db", "readConcern", "writeConcern", "$readPreference", "maxTimeMS", "txnNumber", "$clusterTime"}, e.Key)
		})
		shape := fmt.Sprintf("%.60v", cmd[1:])
		if shapes[shape] {
			continue
		}
		shapes[shape] = true
		var plan bson.Raw
		if err := coll.Database().RunCommand(t.Context(), bson.D{{Key: "explain", Value: cmd}, {Key: "verbosity", Value: "queryPlanner"}}).Decode(&plan); err != nil {
			t.Fatalf("explain %s: %v", name, err)
		}
		text := plan.String()
		if !strings.Contains(text, "IXSCAN") && !strings.Contains(text, `"Index Name"`) && !strings.Contains(text, "COUNT_SCAN") ||
			strings.Contains(text, "COLLSCAN") || strings.Contains(text, `"Seq Scan"`) {
			t.Errorf("%s looks at all rows: %.3000s", name, text)
		}
	}
	if len(shapes) < 5 {
		t.Errorf("commands of %d shapes: some kind is missing", len(shapes))
	}
}

// looking finds what an update changes first.
func looking(update bson.D) bson.D {
	statements, _ := mongowire.Get(update, "updates").(bson.A)
	u, _ := statements[0].(bson.D)
	return bson.D{{Key: "find", Value: update[0].Value}, {Key: "filter", Value: mongowire.Get(u, "q")}, {Key: "hint", Value: mongowire.Get(u, "hint")}}
}
