package acceptance

import (
	"context"
	"fmt"
	"log"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe/dedupetest"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/faulty"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/mongodoc"
)

// updating changes two documents for each event, before the handler: one of its own, and one that
// all events change.
func updating(store dedupetest.Inner, uri, database string, next consumer.Handler) consumer.Handler {
	marks, ok := store.(*mongodedupe.Store)
	if !ok {
		log.Fatalf("no store in MongoDB: %T", store)
	}
	documents, err := mongodoc.New(marks, nil)
	check(err)
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	check(err)
	accounts := client.Database(database).Collection("accounts")
	return func(ctx context.Context, e bus.Event) error {
		for _, id := range []string{e.ID, "all"} {
			inc := bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}}
			if _, err := documents.UpdateOnce(ctx, accounts, bson.D{{Key: "_id", Value: id}}, inc, &mongodoc.UpdateOptions{Upsert: true}); err != nil {
				return err
			}
		}
		return next(ctx, e)
	}
}

// TestUpdateOnceKilledAtEachStep: a document is changed once by each event, wherever a
// worker is killed.
func TestUpdateOnceKilledAtEachStep(t *testing.T) {
	t.Parallel()
	for _, step := range []struct {
		name  string
		die   death
		steps []string
	}{
		{"after the change", death{}, []string{"die@killed"}},
		{"while changes are made", death{}, []string{"5ms"}}, // by the test
		{"before the mark", death{At: faulty.Settle}, nil},
		{"after the mark", death{At: faulty.Settle, After: true}, nil},
		{"before the ack", death{At: faulty.Ack}, nil},
		{"failed after the change", death{At: faulty.Settle, Nth: 5}, []string{"fail@1"}},
	} {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.mongo, r.db = mongotest.URI(t), mongotest.Database(t).Name()
			const events = 60
			var es []bus.Event
			for i := range events {
				es = append(es, event(fmt.Sprint(i), step.steps...))
			}
			r.publish(es...)
			for n := range 2 {
				victim := r.start("killed", script{Concurrency: 8, Die: step.die, Update: true})
				if len(step.steps) > 0 && step.steps[0] == "5ms" {
					r.ledger.await(t, 10*(n+1), "start", "killed", "")
					victim.kill()
				}
				victim.awaitGone()
			}
			other := r.start("other", script{Concurrency: 8, Update: true})
			r.settled()
			other.stop()
			r.changedOnce(events)
		})
	}
}

// changedOnce checks that each event changed its document, and the one of all, once.
func (r *rig) changedOnce(events int) {
	r.t.Helper()
	accounts := mongotest.Client(r.t).Database(r.db).Collection("accounts")
	for i := range events + 1 {
		id, want := fmt.Sprint(i), 1
		if i == events {
			id, want = "all", events
		}
		var doc struct{ N int }
		if err := accounts.FindOne(r.t.Context(), bson.D{{Key: "_id", Value: id}}).Decode(&doc); err != nil || doc.N != want {
			r.t.Errorf("document %s was changed %d times (%v), want %d", id, doc.N, err, want)
		}
	}
}
