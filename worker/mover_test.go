package worker

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/mongodoc"
	"github.com/onceish/onceish/outbox"
)

// A document whose events cannot be moved, and an event whose id another one has, are told of and
// keep nobody waiting.
func TestUntilEmptyEndsBesideEventsThatCannotBeMoved(t *testing.T) {
	t.Parallel()
	server, db := natstest.Start(t, nil), mongotest.Database(t)
	c := connectTo(t, server.URL(), db.Name())
	if _, err := c.Bus().Topic(t.Context(), "mail.due", "", bus.Start{}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	w, err := New("mail", c, &Options{UntilEmpty: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	once, err := w.Documents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	coll := db.Collection("members")
	for _, id := range []string{"a", "b", "spoilt"} {
		o := &mongodoc.UpdateOptions{
			Key: dedupe.Key{ID: id}, Upsert: true, Publish: []bus.Event{{ID: "welcome", Topic: "mail.due", Data: []byte(id)}},
		}
		if _, err := once.UpdateOnce(t.Context(), coll, bson.D{{Key: "_id", Value: id}}, bson.D{}, o); err != nil {
			t.Fatal(err)
		}
	}
	spoil := bson.D{{Key: "$set", Value: bson.D{{Key: "_onceish.events", Value: 1}}}}
	if _, err := coll.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "spoilt"}}, spoil); err != nil {
		t.Fatal(err)
	}
	box := openBox(t, c)
	if _, err := w.AddDrainer(box, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := box.Count(t.Context()); err != nil || n != (outbox.Counts{Sent: 1, Dead: 1, Waiting: 1}) {
		t.Errorf("%+v, %v", n, err)
	}
	if err := box.Healthy(); err == nil || !strings.Contains(err.Error(), "spoilt") {
		t.Errorf("healthy: %v", err)
	}
	if !strings.Contains(log.String(), "moved=2 moved_dead=1 stuck_documents=1") {
		t.Errorf("the log: %s", &log)
	}
}
