package mongo_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
)

// On a server with change streams, what is added wakes. One that has a set's name and no change
// streams fails here, and says so.
func TestWatch(t *testing.T) {
	t.Parallel()
	mongotest.ReplicaSet(t, mongotest.Client(t))
	q := open(t, collection(t, options.Client().ApplyURI(mongotest.URI(t))), nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	woken, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- q.Watch(ctx, func() { woken <- struct{}{} }) }()
	select {
	case <-woken: // it has begun
	case err := <-ended:
		t.Fatalf("the server of MONGODB_URI has the name of a replica set, and no change streams: %v", err)
	}
	must[[]string](t)(q.AddAlone(ctx, placed("a")))
	select {
	case <-woken:
	case <-ctx.Done():
		t.Error("an added row woke nobody")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// One without says so at once; and one that ends a stream is asked again by the caller.
func TestWatchEnds(t *testing.T) {
	t.Parallel()
	_, _, w := wired(t)
	q := open(t, collection(t, options.Client().ApplyURI(w.URI())), nil)
	for says, reply := range map[string]bson.D{
		"watch":     mongowire.Failure(40324, "no such stage"),
		"has ended": {{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "a.b"}, {Key: "firstBatch", Value: bson.A{bson.D{{Key: "_id", Value: bson.D{{Key: "_data", Value: "1"}}}}}}}}, {Key: "ok", Value: 1.0}},
	} {
		w.Rewrite(func(command string, usual bson.D) bson.D {
			if command == "aggregate" {
				return reply
			}
			return usual
		})
		woken := 0
		err := q.Watch(t.Context(), func() { woken++ })
		if err == nil || !strings.Contains(err.Error(), says) || says == "has ended" && woken != 2 {
			t.Errorf("%v after %d calls; want an error that says %q", err, woken, says)
		}
	}
}
