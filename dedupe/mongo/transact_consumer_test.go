package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
)

// done hears of every delivery that ended.
type done chan consumer.Observation

func (d done) Observe(o consumer.Observation) { d <- o }

func subscribe(t *testing.T, s *mongodedupe.Store, h consumer.Handler, told done) (*membus.Bus, *consumer.Subscription, error) {
	t.Helper()
	b, err := membus.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := consumer.SubscribeExactlyOnce(t.Context(), b, "order.*", "billing", s, h, &consumer.Options{
		Mode: consumer.Transactional, RunLimit: 5 * time.Second, Logger: slog.New(slog.DiscardHandler), Observer: told,
		Backoff: consumer.Backoff{Base: time.Millisecond, Max: 10 * time.Millisecond},
	})
	return b, sub, err
}

// exactlyOnce handles events whose handler fails now and then after it wrote, and counts
// what it wrote.
func exactlyOnce(t *testing.T, s *mongodedupe.Store, effects *driver.Collection) {
	t.Helper()
	const events = 30
	told := make(done, 100*events)
	b, sub, err := subscribe(t, s, func(ctx context.Context, e bus.Event) error {
		if _, err := effects.InsertOne(ctx, bson.D{{Key: "event", Value: e.ID}}); err != nil {
			return err
		}
		if a := consumer.AttemptFrom(ctx); a.Number == 1 && e.ID[0]%3 == 0 {
			return errors.New("not yet")
		}
		return nil
	}, told)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if _, err := b.Publish(t.Context(), bus.Event{ID: fmt.Sprintf("%c%d", 'a'+i%6, i), Topic: "order.placed"}); err != nil {
			t.Fatal(err)
		}
	}
	for handled := 0; handled < events; {
		select {
		case o := <-told:
			if o.Outcome == consumer.OutcomeHandled || o.Outcome == consumer.OutcomeDuplicate {
				handled++
			}
		case <-time.After(patience):
			t.Fatalf("%d of %d events are handled, and nothing happens any more: %+v", handled, events, sub.Stats())
		}
	}
	if err := sub.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if n, err := effects.CountDocuments(t.Context(), bson.D{}); err != nil || n != events {
		t.Errorf("%d effects of %d events, %v", n, events, err)
	}
	if ids := effects.Distinct(t.Context(), "event", bson.D{}); ids.Err() != nil {
		t.Error(ids.Err())
	} else if all, err := ids.Raw(); err != nil {
		t.Error(err)
	} else if vs, err := all.Values(); err != nil || len(vs) != events {
		t.Errorf("effects of %d events, %v", len(vs), err)
	}
}

// A consumer makes every effect once, though transactions are given up and commits go unanswered.
func TestTransactConsumer(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	unknown := mongowire.LabelledFailure(91, "ShutdownInProgress", "UnknownTransactionCommitResult")
	l.set.On(func(command string, before int) *mongowire.Turn {
		switch {
		case command == "insert" && before > 0 && before%7 == 0: // not of the probe
			return &mongowire.Turn{GiveUp: true, Reply: mongowire.LabelledFailure(112, "WriteConflict", "TransientTransactionError")}
		case command == "commitTransaction" && before%5 == 0:
			return &mongowire.Turn{Apply: true, Reply: unknown}
		case command == "commitTransaction" && before%5 == 1:
			return &mongowire.Turn{Reply: unknown}
		case command == "commitTransaction" && before%11 == 2:
			return &mongowire.Turn{GiveUp: true, Reply: mongowire.Gone()}
		}
		return nil
	})
	exactlyOnce(t, l.store, l.effects)
}

// The server of the tests, as it is: a consumer starts in this mode if it has transactions, and is
// refused if not.
func TestTransactConsumerRefused(t *testing.T) {
	t.Parallel()
	s, coll, _ := wired(t)
	_, sub, err := subscribe(t, s, func(context.Context, bus.Event) error { return nil }, nil)
	if s.ProbeTransactions(t.Context()) == nil {
		if err != nil {
			t.Fatal(err)
		}
		if err := sub.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		return
	}
	if !errors.Is(err, dedupe.ErrNoTransactions) {
		t.Errorf("%v, want a refusal", err)
	}
	if n, err := coll.CountDocuments(t.Context(), bson.D{}); err != nil || n != 0 {
		t.Errorf("%d documents are left, %v", n, err)
	}
}

// replicated is a store on a replica set, and a collection beside it.
func replicated(t *testing.T) (*mongodedupe.Store, *driver.Collection) {
	t.Helper()
	client := connect(t, options.Client().ApplyURI(mongotest.URI(t)))
	mongotest.ReplicaSet(t, client)
	coll := collection(t, client)
	s, err := mongodedupe.New(t.Context(), coll, nil)
	if err != nil {
		t.Fatal(err)
	}
	effects := coll.Database().Collection("effects")
	if err := coll.Database().CreateCollection(t.Context(), effects.Name()); err != nil {
		t.Fatal(err)
	}
	return s, effects
}

func TestTransactReplicaSet(t *testing.T) {
	t.Parallel()
	s, effects := replicated(t)
	if err := s.ProbeTransactions(t.Context()); err != nil {
		t.Fatal(err)
	}
	exactlyOnce(t, s, effects)
}

// Two transactions that write one document conflict: one is run again, and neither write is lost.
func TestTransactConflict(t *testing.T) {
	t.Parallel()
	s, effects := replicated(t)
	if _, err := effects.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "sum"}, {Key: "n", Value: 0}}); err != nil {
		t.Fatal(err)
	}
	const all = 8
	errs := make(chan error, all)
	for i := range all {
		c := claimOne(t, s, request(fmt.Sprint(i), 30*time.Second))
		go func() {
			for {
				err := s.Transact(t.Context(), c, span, time.Hour, func(ctx context.Context) error {
					_, err := effects.UpdateByID(ctx, "sum", bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}})
					return err
				})
				if !errors.Is(err, dedupe.ErrTransactionAborted) { // as a consumer does, which gives the event back
					errs <- err
					return
				}
			}
		}()
	}
	for range all {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	var sum struct{ N int }
	if err := effects.FindOne(t.Context(), bson.D{}).Decode(&sum); err != nil || sum.N != all {
		t.Errorf("%d of %d, %v", sum.N, all, err)
	}
}
