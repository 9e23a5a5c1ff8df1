package mongo_test

import (
	"context"
	"flag"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/internal/testing/mongotest"
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
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := client.Disconnect(ctx); err != nil {
			tb.Errorf("closing the client: %v", err)
		}
	})
	return client
}

// collection is new and empty, and dropped when the test ends.
func collection(tb testing.TB, client *driver.Client) *driver.Collection {
	tb.Helper()
	return client.Database(mongotest.Database(tb).Name()).Collection("dedupe")
}
