package mongodoc_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/mongodoc"
)

func publishing(event string) *mongodoc.UpdateOptions {
	return &mongodoc.UpdateOptions{Key: orderKey(event), Upsert: true, Publish: []bus.Event{{Topic: "invoice.issued"}}}
}

// tries is how often a call is made that has little time: a loaded machine may need more.
const tries = 30

// The index of a huge collection takes as long as it takes, and is made once.
func TestUpdateOnceWaitsForItsIndex(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	_, dedupes, w := wired(t)
	coll := through(t, w, dedupes.Database().Collection("accounts"))
	s := newUpdater(t, dedupes, &mongodoc.Options{Timeout: timeout})
	var made atomic.Int64
	w.Rewrite(func(command string, reply bson.D) bson.D {
		if command == "createIndexes" {
			made.Add(1)
			time.Sleep(2 * timeout)
		}
		return reply
	})
	var err error
	for range tries {
		if _, err = s.UpdateOnce(t.Context(), coll, d("_id", 1), d(), publishing("1")); err == nil {
			break
		}
	}
	if err != nil || made.Load() != 1 {
		t.Errorf("the index was made %d times: %v", made.Load(), err)
	}
}

// A store makes sure of the registry again and again: somebody may restore it, or drop it.
func TestUpdateOnceRegistersAgain(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	s, dedupes, _ := wiredWith(t, mongodoc.Options{}.Clock(now))
	db := dedupes.Database()
	update := func(event string) {
		if _, err := s.UpdateOnce(t.Context(), db.Collection("accounts"), d("_id", 1), d(), publishing(event)); err != nil {
			t.Fatal(err)
		}
	}
	update("1")
	if err := errors.Join(db.Collection("onceish.waiting").Drop(t.Context()), db.Collection("accounts").Drop(t.Context())); err != nil {
		t.Fatal(err)
	}
	later.Store(int64(time.Minute))
	update("2")
	if n, err := db.Collection("onceish.waiting").CountDocuments(t.Context(), d("_id", "accounts")); err != nil || n != 1 {
		t.Errorf("%d names in the registry, %v", n, err)
	}
	indexes, err := db.Collection("accounts").Indexes().ListSpecifications(t.Context())
	if err != nil || len(indexes) != 2 {
		t.Errorf("%d indexes, %v; want that of events that wait, too", len(indexes), err)
	}
}

// What could not become a row does not wait: it would wait for ever.
func TestUpdateOnceRefusesEventsThatFitNoRow(t *testing.T) {
	t.Parallel()
	s, dedupes, _ := wired(t)
	o := publishing("1")
	o.Publish[0].Data = make([]byte, 16<<20-100<<10)
	_, err := s.UpdateOnce(t.Context(), dedupes.Database().Collection("accounts"), d("_id", 1), d(), o)
	if !errors.Is(err, bus.ErrTooLarge) || !strings.Contains(err.Error(), "send less") {
		t.Errorf("%v; want ErrTooLarge", err)
	}
}
