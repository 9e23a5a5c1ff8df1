package mongo_test

import (
	"context"
	"flag"
	"testing"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/internal/testing/mongotest"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for leases to end, far more than they compute.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// connect opens a client that is closed when the test ends.
func connect(tb testing.TB, o *options.ClientOptions) *driver.Client {
	tb.Helper()
	client, err := driver.Connect(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := client.Disconnect(ctx); err != nil {
			tb.Errorf("closing the client: %v", err)
		}
	})
	return client
}

// collection is new and empty, reached through a client of its own, and dropped when the test ends.
func collection(tb testing.TB, o *options.ClientOptions) *driver.Collection {
	tb.Helper()
	return connect(tb, o).Database(mongotest.Database(tb).Name()).Collection("outbox")
}

// open gives calls more time than users do: a server that many share may stand still.
func open(tb testing.TB, coll *driver.Collection, o *mongooutbox.Options) *mongooutbox.Queue {
	tb.Helper()
	if o == nil {
		o = &mongooutbox.Options{}
	}
	if o.Timeout == 0 {
		patient := *o
		patient.Timeout, o = patience, &patient
	}
	q, err := mongooutbox.New(tb.Context(), coll, o)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}
