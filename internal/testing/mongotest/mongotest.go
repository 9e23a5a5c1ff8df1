// Package mongotest gives tests the MongoDB server that MONGODB_URI names. A test that asks for it
// is skipped when the variable is unset, or fails when REQUIRE_MONGO=1.
package mongotest

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	// selectTimeout bounds how long a dead server is looked for, and how long one may stand still.
	selectTimeout = time.Minute
	// opTimeout bounds each operation whose context has no deadline. It is long for a loaded
	// machine under the race detector.
	opTimeout = 2 * time.Minute
)

// testTimeout bounds one test, so that one which hangs fails by its name, long before its
// package does.
const testTimeout = 9 * time.Minute

// URI names the server. A test that asks for it has nine minutes to end.
func URI(tb testing.TB) string {
	tb.Helper()
	if uri := os.Getenv("MONGODB_URI"); uri != "" {
		boundTest(tb)
		return uri
	}
	const advice = "no MongoDB: MONGODB_URI is not set; scripts/mongo brings a server up and prints its URI"
	if os.Getenv("REQUIRE_MONGO") == "1" {
		tb.Fatal(advice)
	}
	tb.Skip(advice)
	return ""
}

// boundTest ends the process, with the stacks of all goroutines, if a test does not end. Benchmarks
// take as long as they are told to.
func boundTest(tb testing.TB) {
	tb.Helper()
	if _, ok := tb.(*testing.T); !ok {
		return
	}
	name := tb.Name()
	timer := time.AfterFunc(testTimeout, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("mongotest: %s has not ended after %v", name, testTimeout))
	})
	tb.Cleanup(func() { timer.Stop() })
}

// Client connects to the server until the test ends.
func Client(tb testing.TB) *mongo.Client {
	tb.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(URI(tb)).
		SetServerSelectionTimeout(selectTimeout).SetConnectTimeout(selectTimeout).SetTimeout(opTimeout))
	if err != nil {
		tb.Fatal("connect to MONGODB_URI:", err)
	}
	tb.Cleanup(func() {
		if err := client.Disconnect(context.Background()); err != nil {
			tb.Error("disconnect from MONGODB_URI:", err)
		}
	})
	if err := client.Ping(tb.Context(), nil); err != nil {
		tb.Fatal("the server of MONGODB_URI does not answer:", err)
	}
	return client
}

// Database is new, with a name of its own, and dropped when the test ends.
func Database(tb testing.TB) *mongo.Database {
	tb.Helper()
	db := Client(tb).Database("onceish_" + bson.NewObjectID().Hex())
	tb.Cleanup(func() {
		if err := db.Drop(context.Background()); err != nil {
			tb.Errorf("drop the database %s: %v", db.Name(), err)
		}
	})
	return db
}

// Collection is one in a new Database.
func Collection(tb testing.TB) *mongo.Collection {
	tb.Helper()
	return Database(tb).Collection("test")
}

// ReplicaSet skips the test unless the server is a member of a replica set, as transactions and
// change streams demand.
func ReplicaSet(tb testing.TB, client *mongo.Client) {
	tb.Helper()
	var hello struct {
		SetName string `bson:"setName"`
	}
	if err := client.Database("admin").RunCommand(tb.Context(), bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		tb.Fatal("hello:", err)
	}
	if hello.SetName == "" {
		tb.Skip("needs a replica set, and the server of MONGODB_URI is none")
	}
}
