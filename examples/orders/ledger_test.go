package main

import (
	"context"
	"errors"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/mongodoc"
)

func store(t *testing.T, db *mongo.Database) *mongodoc.Updater {
	t.Helper()
	s, err := mongodedupe.New(t.Context(), db.Collection("dedupe"), nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := mongodoc.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// invoice is a document of the ledger's.
type invoice struct {
	ID       string `bson:"_id"`
	Customer string `bson:"customer"`
	Total    int    `bson:"total"`
	Lines    []struct {
		Text  string `bson:"text"`
		Cents int    `bson:"cents"`
	} `bson:"lines"`
	Ledger struct {
		Events []struct {
			Topic string `bson:"topic"`
		} `bson:"events"`
	} `bson:"_onceish"`
}

// A handler is a function, and is tested as one: here with a run for each attempt, as the
// consumer has it.
func TestLedgerEntersOnce(t *testing.T) {
	t.Parallel()
	db := mongotest.Database(t)
	l := &ledger{once: store(t, db), invoices: db.Collection("invoices")}
	ada := order{ID: "1", Customer: "ada", Cents: 500}
	run := func(id, topic string) error {
		key := dedupe.Key{Topic: topic, Group: "billing", ID: id}
		return l.enter(consumer.WithAttempt(t.Context(), consumer.Attempt{Key: key}), bus.Event{ID: id, Topic: topic}, ada)
	}
	if err := run("c", orderCancelled); !errors.Is(err, mongodoc.ErrNoMatch) || consumer.IsPermanent(err) {
		t.Errorf("cancelled before it was placed: %v, want one that is tried again", err)
	}
	for range 3 {
		if err := errors.Join(run("p", orderPlaced), run("c", orderCancelled)); err != nil {
			t.Fatal(err)
		}
	}
	var got invoice
	if err := l.invoices.FindOne(t.Context(), byID("1")).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Customer != "ada" || got.Total != 0 || len(got.Lines) != 2 || got.Lines[0].Cents != 500 || got.Lines[1].Cents != -500 {
		t.Errorf("%+v", got)
	}
	if es := got.Ledger.Events; len(es) != 2 || es[0].Topic != invoiceIssued || es[1].Topic != invoiceCredited {
		t.Errorf("events that wait: %+v", es)
	}
}

func TestLedgerGivesUpOnNonsense(t *testing.T) {
	t.Parallel()
	l := &ledger{}
	for _, o := range []order{{}, {ID: "1", Customer: "ada"}, {ID: "1", Cents: 5}, {Customer: "ada", Cents: 5}} {
		if err := l.enter(context.Background(), bus.Event{Topic: orderPlaced}, o); !consumer.IsPermanent(err) {
			t.Errorf("%+v: %v, want a permanent error", o, err)
		}
	}
	if err := l.enter(context.Background(), bus.Event{Topic: "order.lost"}, order{ID: "1", Customer: "ada", Cents: 5}); !consumer.IsPermanent(err) {
		t.Errorf("%v, want a permanent error", err)
	}
}
