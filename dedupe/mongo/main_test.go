package mongo_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for leases to end, far more than they compute.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

var collections atomic.Int64

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
	name := fmt.Sprintf("%s_%d_%d", strings.ToLower(strings.Map(plain, tb.Name())), os.Getpid(), collections.Add(1))
	coll := client.Database("onceish_dedupe_test").Collection(name[max(0, len(name)-60):])
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := coll.Drop(ctx); err != nil {
			tb.Errorf("dropping %s: %v", coll.Name(), err)
		}
	})
	return coll
}

func plain(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '_'
}

func uri(tb testing.TB) string {
	tb.Helper()
	u := os.Getenv("MONGODB_URI")
	if u == "" {
		b, err := os.ReadFile("/tmp/onceish-mongo-uri")
		if err != nil {
			tb.Skip(err)
		}
		u = strings.TrimSpace(string(b))
	}
	return u
}
