package mongo_test

import (
	"context"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
	"github.com/onceish/onceish/outbox/outboxtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	outboxtest.Run(t, harness())
}

func TestDrainer(t *testing.T) {
	t.Parallel()
	outboxtest.RunDrainer(t, harness())
}

func harness() outboxtest.Harness {
	return outboxtest.Harness{New: subject, Lease: 2 * time.Second, Many: 2_000}
}

func subject(t *testing.T) outboxtest.Subject {
	t.Helper()
	w := mongowire.New(t, mongotest.URI(t))
	coll := collection(t, options.Client().ApplyURI(mongotest.URI(t)))
	client := connect(t, options.Client().ApplyURI(w.URI()).SetRetryReads(false).SetRetryWrites(false))
	wired := client.Database(coll.Database().Name()).Collection(coll.Name())
	o := mongooutbox.Options{Partitions: outboxtest.Partitions}
	behind, direct := open(t, wired, &o), open(t, coll, &o)
	add := func(t *testing.T, rows ...outbox.Row) []string {
		t.Helper()
		ids, err := direct.AddRowsAlone(t.Context(), rows...)
		if err != nil {
			t.Fatalf("AddRowsAlone: %v", err)
		}
		return ids
	}
	return outboxtest.Subject{
		Queue: behind, Add: add,
		Refused: func(t *testing.T, rows ...outbox.Row) error {
			t.Helper()
			_, err := direct.AddRowsAlone(t.Context(), rows...)
			return err
		},
		Skewed: func(t *testing.T, d time.Duration) outbox.Queue {
			t.Helper()
			return open(t, coll, o.Skew(d))
		},
		Fault: w.Fail,
		Late: func(t *testing.T, rows ...outbox.Row) func(t *testing.T) {
			t.Helper()
			return begun(t, coll, rows...)
		},
	}
}

// begun adds rows in a transaction, and returns what commits it.
func begun(t *testing.T, coll *driver.Collection, rows ...outbox.Row) func(t *testing.T) {
	t.Helper()
	client := connect(t, options.Client().ApplyURI(mongowire.NewFakeReplicaSet(t, mongotest.URI(t)).URI()))
	q := open(t, client.Database(coll.Database().Name()).Collection(coll.Name()), nil)
	sess, err := client.StartSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sess.EndSession(context.Background()) })
	if err := sess.StartTransaction(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.AddRows(driver.NewSessionContext(t.Context(), sess), rows...); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) {
		t.Helper()
		if err := sess.CommitTransaction(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
