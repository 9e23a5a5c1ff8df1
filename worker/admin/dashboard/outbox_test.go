package dashboard_test

import (
	"fmt"
	"net/url"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/worker"
)

// inDatabase is the URI of a MongoDB with a database.
func inDatabase(uri, database string) string {
	u, err := url.Parse(uri)
	if err != nil {
		panic(err)
	}
	u.Path = "/" + database
	return u.String()
}

// makeRowsDead gives rows up, as a drainer does after many refusals.
func makeRowsDead(tb testing.TB, database string, ids ...string) {
	tb.Helper()
	rows := mongotest.Client(tb).Database(database).Collection(worker.OutboxCollection)
	dead := bson.M{"$set": bson.M{"status": "dead", "attempts": 10, "reason": "no stream takes the topic"}, "$inc": bson.M{"version": 1}}
	done, err := rows.UpdateMany(tb.Context(), bson.M{"id": bson.M{"$in": ids}}, dead)
	must(tb, err)
	if int(done.ModifiedCount) != len(ids) {
		tb.Fatalf("%d of the rows %q were changed", done.ModifiedCount, ids)
	}
}

// Dead rows are listed with their reasons, retried one by one, and dropped by who types how many.
func TestDeadRowsAreRetriedAndDropped(t *testing.T) {
	db := mongotest.Database(t).Name()
	r := newRig(t, rigOptions{store: inDatabase(mongotest.URI(t), db)})
	box, err := r.conns.Outbox(t.Context(), "", nil)
	must(t, err)
	for i := range 6 {
		_, err = box.AddAlone(t.Context(), bus.Event{ID: fmt.Sprint("mail-", i), Topic: "mail.sent", Data: []byte("secret of Ada")})
		must(t, err)
	}
	makeRowsDead(t, db, "mail-1", "mail-2", "mail-3", "mail-4")
	p := openTab(t, r.url)
	p.press("Outbox")
	p.sees("mail-1", "no stream takes the topic", "mail-4")
	p.press("Count the sent ones")
	p.sees("Sent, still kept")
	p.press("mail-2")
	p.press("Show payload")
	p.sees("secret of Ada")
	p.press("Close")
	p.press("Retry mail-2")
	p.fill("Reason", "the stream is there")
	p.press("Retry 1 row")
	p.sees("1 row was made pending.")
	p.await(`!shows("mail-2")`)
	p.press("Drop all that match…")
	p.sees("Drop 3 dead rows")
	p.fill("Reason", "nobody wants them")
	p.fill("Type 3", "3")
	p.press("Drop 3 rows")
	p.sees("3 rows were dropped.", "No dead rows.")
	counts, err := box.Count(t.Context())
	if must(t, err); counts.Dead != 0 || counts.Pending != 3 {
		t.Errorf("counts: %+v", counts)
	}
}
