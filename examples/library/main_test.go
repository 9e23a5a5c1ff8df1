package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunHandlesAnOrder(t *testing.T) {
	db, nc := mongotest.Database(t), natstest.Start(t, nil).Connect(t)
	events, err := natsbus.New(nc, &natsbus.Options{Provision: &natsbus.Provision{}})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, nc.ConnectedUrl(), mongotest.URI(t), db.Name()) }()

	publish := func() error {
		_, err := events.Publish(ctx, bus.Event{ID: "1", Topic: "order.placed", Data: []byte(`{"cents":500}`)})
		return err
	}
	limit := time.Now().Add(30 * time.Second)
	for err := publish(); err != nil; err = publish() { // the subscription makes the stream
		if time.Now().After(limit) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for n := int64(0); n == 0; time.Sleep(20 * time.Millisecond) {
		if n, err = db.Collection("dedupe").CountDocuments(ctx, bson.D{{Key: "state", Value: "done"}}); err != nil || time.Now().After(limit) {
			t.Fatal(n, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// README.md shows the program as it is, but for its doc comment.
func TestReadmeShowsTheProgram(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, program, found := strings.Cut(string(source), "\npackage main\n")
	if !found || !strings.Contains(string(readme), "```go\npackage main\n"+program+"```\n") {
		t.Error("README.md does not show examples/library/main.go")
	}
}
