package mongodoc_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/mongodoc"
)

// orderKey is the key of an event.
func orderKey(id string) dedupe.Key { return dedupe.Key{Topic: "orders", Group: "billing", ID: id} }

// d makes a document of names and values.
func d(pairs ...any) bson.D {
	doc := make(bson.D, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		doc = append(doc, bson.E{Key: name, Value: pairs[i+1]})
	}
	return doc
}

// document of an id.
func document(t *testing.T, coll *driver.Collection, id any) bson.Raw {
	t.Helper()
	raw, err := coll.FindOne(t.Context(), d("_id", id)).Raw()
	if err != nil {
		t.Fatalf("document %v: %v", id, err)
	}
	return raw
}

func number(t *testing.T, doc bson.Raw, path ...string) int64 {
	t.Helper()
	n, ok := doc.Lookup(path...).AsInt64OK()
	if !ok {
		t.Fatalf("%v of %v is no number", path, doc)
	}
	return n
}

// wantUpdate calls UpdateOnce, and wants that answer.
func wantUpdate(t *testing.T, s *mongodoc.Updater, coll *driver.Collection, filter, update any, o *mongodoc.UpdateOptions, want mongodoc.Update) {
	t.Helper()
	got, err := s.UpdateOnce(t.Context(), coll, filter, update, o)
	if err != nil || got != want {
		t.Fatalf("%v %v: %+v, %v, want %+v", filter, update, got, err, want)
	}
}

var (
	applied  = mongodoc.Update{}
	inserted = mongodoc.Update{Inserted: true}
	before   = mongodoc.Update{Before: true}
)

// Each form of update is applied once for each event, and to what is there.
func TestUpdateOnceForms(t *testing.T) {
	t.Parallel()
	s, dedupes, _ := wired(t)
	coll := dedupes.Database().Collection("accounts")
	type raw struct {
		Inc struct {
			N int `bson:"n"`
		} `bson:"$inc"`
	}
	one := raw{}
	one.Inc.N = 1
	plusOne := d("$add", bson.A{d("$ifNull", bson.A{"$n", 0}), 1})
	for name, update := range map[string]any{
		"operators":   d("$inc", d("n", 1), "$set", d("last", "x"), "$push", d("log", "y")),
		"map":         bson.M{"$inc": bson.M{"n": 1}},
		"struct":      one,
		"pipeline":    bson.A{d("$set", d("n", plusOne, "dollar", d("$literal", "$n"))), d("$unset", "gone")},
		"typed":       driver.Pipeline{d("$addFields", d("n", plusOne)), d("$unset", []string{"gone", "away"})},
		"of pipeline": []bson.M{{"$set": bson.M{"n": plusOne}}},
	} {
		for _, upsert := range []bool{false, true} {
			id, want := fmt.Sprintf("%s %t", name, upsert), applied
			filter := d("_id", id)
			if upsert {
				want = inserted
			} else if _, err := coll.InsertOne(t.Context(), filter); err != nil {
				t.Fatal(err)
			}
			for i, event := range []string{"a", "b", "$a", "a.b"} {
				o := &mongodoc.UpdateOptions{Key: orderKey(event), Upsert: upsert}
				wantUpdate(t, s, coll, filter, update, o, want)
				wantUpdate(t, s, coll, filter, update, o, before)
				want = applied
				if n := number(t, document(t, coll, id), "n"); n != int64(i)+1 {
					t.Errorf("%s: n is %d after %d events", id, n, i+1)
				}
			}
		}
	}
}

// The mark alone, and steps.
func TestUpdateOnceSteps(t *testing.T) {
	t.Parallel()
	s, dedupes, _ := wired(t)
	coll := dedupes.Database().Collection("accounts")
	ctx := consumer.WithAttempt(t.Context(), consumer.Attempt{Key: orderKey("1")})
	call := func(id int, step string) (mongodoc.Update, error) {
		return s.UpdateOnce(ctx, coll, d("_id", id), d("$inc", d("n", 1)), &mongodoc.UpdateOptions{Upsert: true, Step: step})
	}
	for _, c := range []struct {
		id   int
		step string
		err  error
	}{{1, "", nil}, {2, "", nil}, {1, "", mongodoc.ErrStep}, {1, "second", nil}, {1, "second", mongodoc.ErrStep}} {
		if u, err := call(c.id, c.step); !errors.Is(err, c.err) || err == nil && !u.Inserted && c.step == "" {
			t.Errorf("%+v: %+v, %v", c, u, err)
		}
	}
	if n := number(t, document(t, coll, 1), "n"); n != 2 {
		t.Errorf("n is %d, want 2", n)
	}
	ctx = consumer.WithAttempt(t.Context(), consumer.Attempt{Key: orderKey("1"), Number: 2})
	for _, step := range []string{"", "second"} {
		if u, err := call(1, step); err != nil || !u.Before {
			t.Errorf("step %q in the next run: %+v, %v", step, u, err)
		}
	}
	wantUpdate(t, s, coll, d("_id", 1), d(), &mongodoc.UpdateOptions{Key: orderKey("2")}, applied)
	wantUpdate(t, s, coll, d("_id", 1), d(), &mongodoc.UpdateOptions{Key: orderKey("2")}, before)
}

// A change that failed is not made, as far as the run knows: it may be tried again in the same run,
// without a step of its own.
func TestUpdateOnceAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	s, dedupes, w := wired(t)
	direct := dedupes.Database().Collection("accounts")
	coll := through(t, w, direct)
	ctx := consumer.WithAttempt(t.Context(), consumer.Attempt{Key: orderKey("1")})
	call := func(upsert bool) (mongodoc.Update, error) {
		return s.UpdateOnce(ctx, coll, d("_id", 1), d("$inc", d("n", 1)), &mongodoc.UpdateOptions{Upsert: upsert})
	}
	if _, err := call(false); !errors.Is(err, mongodoc.ErrNoMatch) {
		t.Errorf("there is no document: %v", err)
	}
	fired := w.Fail(0, false)
	if _, err := call(true); err == nil || !fired() {
		t.Fatalf("the server failed: %v", err)
	}
	if u, err := call(true); err != nil || !u.Inserted {
		t.Errorf("tried again: %+v, %v", u, err)
	}
	if _, err := call(true); !errors.Is(err, mongodoc.ErrStep) {
		t.Errorf("made already: %v", err)
	}
	if n := number(t, document(t, direct, 1), "n"); n != 1 {
		t.Errorf("n is %d, want 1", n)
	}
}

// Any bytes can be an id; none is taken for another.
func TestUpdateOnceHostileIDs(t *testing.T) {
	t.Parallel()
	s, dedupes, _ := wired(t)
	coll := dedupes.Database().Collection("accounts")
	long := strings.Repeat("x", 5000)
	ids := []string{"a", "A", "", "$", "$a", "a.b", "a.", ".", "a\x00", "a\x00b", "\xff", "\xfe", "0", "00", long, long + "x", "{}", "$$NOW", "é", "e\u0301"}
	for i, id := range ids {
		o := &mongodoc.UpdateOptions{Key: orderKey(id), Upsert: true}
		want := applied
		if i == 0 {
			want = inserted
		}
		wantUpdate(t, s, coll, d("_id", 1), d("$inc", d("n", 1)), o, want)
		wantUpdate(t, s, coll, d("_id", 1), d("$inc", d("n", 1)), o, before)
	}
	for _, k := range []dedupe.Key{{Topic: "orders", Group: "billin", ID: "ga"}, {Topic: "order", Group: "sbilling", ID: "a"}} {
		wantUpdate(t, s, coll, d("_id", 1), d("$inc", d("n", 1)), &mongodoc.UpdateOptions{Key: k}, applied)
	}
	if n := number(t, document(t, coll, 1), "n"); n != int64(len(ids))+2 {
		t.Errorf("n is %d, want %d", n, len(ids)+2)
	}
}

// Copies that run at the same time change the document once, whether it is there or not; different
// events each change it once.
func TestUpdateOnceConcurrentCopies(t *testing.T) { //nolint:paralleltest // it loads the server, and others here measure time
	s, dedupes, _ := wired(t)
	coll := dedupes.Database().Collection("accounts")
	for _, there := range []bool{true, false} {
		for _, update := range []any{d("$inc", d("n", 1)), bson.A{d("$set", d("n", d("$add", bson.A{d("$ifNull", bson.A{"$n", 0}), 1})))}} {
			id := fmt.Sprintf("%t %T", there, update)
			if there {
				if _, err := coll.InsertOne(t.Context(), d("_id", id)); err != nil {
					t.Fatal(err)
				}
			}
			const events = 4
			var first atomic.Int64
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					o := &mongodoc.UpdateOptions{Key: orderKey(fmt.Sprint(i % events)), Upsert: !there}
					u, err := s.UpdateOnce(t.Context(), coll, d("_id", id), update, o)
					if err != nil {
						t.Errorf("%s: %v", id, err)
					}
					if err == nil && !u.Before {
						first.Add(1)
					}
				})
			}
			wg.Wait()
			if n := number(t, document(t, coll, id), "n"); n != events || first.Load() != events {
				t.Errorf("%s: n is %d and %d calls made the change, want %d", id, n, first.Load(), events)
			}
		}
	}
}

// An answer that got lost after the change was made: the repeat finds the mark. A command that got
// lost: the repeat makes the change.
func TestUpdateOnceLostAnswers(t *testing.T) {
	t.Parallel()
	s, dedupes, w := wired(t)
	direct := dedupes.Database().Collection("accounts")
	coll := through(t, w, direct)
	run := 0
	for _, upsert := range []bool{true, false} {
		for _, fault := range []func(int, bool) func() bool{w.Fail, w.Cut} {
			for _, done := range []bool{true, false} {
				for n := range 3 {
					run++
					if !upsert {
						if _, err := direct.InsertOne(t.Context(), d("_id", run)); err != nil {
							t.Fatal(err)
						}
					}
					o := &mongodoc.UpdateOptions{Key: orderKey("1"), Upsert: upsert}
					call := func() (mongodoc.Update, error) {
						return s.UpdateOnce(t.Context(), coll, d("_id", run), d("$inc", d("n", 1)), o)
					}
					end := fault(n, done)
					var err error
					for range 4 {
						var u mongodoc.Update
						if u, err = call(); err == nil {
							if n == 0 && u.Before != done {
								t.Errorf("after a lost command that was done: %t: %+v", done, u)
							}
							break
						}
					}
					end()
					if err != nil {
						t.Fatal(err)
					}
					if u, err := call(); err != nil || !u.Before {
						t.Errorf("a repeat: %+v, %v", u, err)
					}
					if n := number(t, document(t, direct, run), "n"); n != 1 {
						t.Errorf("upsert %t, done %t: n is %d", upsert, done, n)
					}
				}
			}
		}
	}
}

// No document, or a condition that is false, is an error: nothing is marked, and it may come true.
func TestUpdateOnceNoMatch(t *testing.T) {
	t.Parallel()
	s, dedupes, _ := wired(t)
	coll := dedupes.Database().Collection("accounts")
	o := &mongodoc.UpdateOptions{Key: orderKey("1")}
	pay := func(filter bson.D, o *mongodoc.UpdateOptions) (mongodoc.Update, error) {
		return s.UpdateOnce(t.Context(), coll, filter, d("$inc", d("n", 1), "$set", d("state", "paid")), o)
	}
	if _, err := pay(d("_id", 1), o); !errors.Is(err, mongodoc.ErrNoMatch) {
		t.Errorf("no document: %v", err)
	}
	if _, err := coll.InsertOne(t.Context(), d("_id", 1, "state", "new")); err != nil {
		t.Fatal(err)
	}
	for _, upsert := range []bool{false, true} {
		if _, err := pay(d("_id", 1, "state", "open"), &mongodoc.UpdateOptions{Key: orderKey("1"), Upsert: upsert}); !errors.Is(err, mongodoc.ErrNoMatch) {
			t.Errorf("condition false, upsert %t: %v", upsert, err)
		}
	}
	if u, err := pay(d("_id", 1, "$or", bson.A{d("state", "new"), d("state", "open")}), o); err != nil || u != applied {
		t.Errorf("condition true: %+v, %v", u, err)
	}
	if u, err := pay(d("_id", 1, "state", "new"), o); err != nil || u != before {
		t.Errorf("a repeat, whose condition is false by now: %+v, %v", u, err)
	}
	if n := number(t, document(t, coll, 1), "n"); n != 1 {
		t.Errorf("n is %d", n)
	}
}

// An upsert by a unique key inserts one document, however many copies run.
func TestUpdateOnceUpsertByUniqueKey(t *testing.T) { //nolint:paralleltest // it loads the server, and others here measure time
	db := mongotest.Database(t)
	s := newUpdater(t, db.Collection("dedupe"), &mongodoc.Options{Timeout: time.Minute}) // deadlocks cost a second each
	coll := db.Collection("accounts")
	if _, err := coll.Indexes().CreateOne(t.Context(), driver.IndexModel{Keys: d("email", 1), Options: options.Index().SetUnique(true)}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			o := &mongodoc.UpdateOptions{Key: orderKey(fmt.Sprint(i % 8)), Upsert: true}
			if _, err := s.UpdateOnce(t.Context(), coll, d("email", "a"), d("$inc", d("n", 1)), o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	raw, err := coll.FindOne(t.Context(), d("email", "a")).Raw()
	if err != nil || number(t, raw, "n") != 8 {
		t.Errorf("%v, %v", raw, err)
	}
	// Another document in the way is told, and not taken for a race.
	_, err = s.UpdateOnce(t.Context(), coll, d("_id", "other"), d("$set", d("email", "a")), &mongodoc.UpdateOptions{Key: orderKey("x"), Upsert: true})
	if !driver.IsDuplicateKeyError(err) {
		t.Errorf("an upsert of a key that is taken: %v", err)
	}
}

// A change is one write, and a repeat one write and one read, whatever is asked.
func TestUpdateOnceRoundTrips(t *testing.T) {
	t.Parallel()
	s, client, r := recorded(t, nil)
	coll := client.Database(mongotest.Database(t).Name()).Collection("accounts")
	events := []bus.Event{{Topic: "invoice.issued"}}
	for i := range 2 {
		for _, o := range []*mongodoc.UpdateOptions{{Upsert: true}, {}, {Publish: events}} {
			o.Key = orderKey(fmt.Sprint(i, o.Upsert, len(o.Publish)))
			wantBefore := []string{"update", "aggregate"}
			for try, want := range [][]string{{"update"}, wantBefore, wantBefore} {
				if len(o.Publish) > 0 && i == 0 && try == 0 {
					want = []string{"createIndexes", "insert", "update"}
				}
				if _, err := s.UpdateOnce(t.Context(), coll, d("_id", 1), d("$inc", d("n", 1)), o); err != nil {
					t.Fatal(err)
				}
				cs := r.take()
				if got := names(cs); strings.Join(got, " ") != strings.Join(want, " ") {
					t.Errorf("%+v, try %d: %v, want %v", o, try, got, want)
				}
				for _, c := range cs {
					level, _ := c.Lookup("readConcern", "level").StringValueOK()
					w, _ := c.Lookup("writeConcern", "w").StringValueOK()
					if level != "majority" && w != "majority" && names([]bson.Raw{c})[0] != "createIndexes" {
						t.Errorf("sent without majority: %v", c)
					}
				}
			}
		}
	}
}

// One document that all change at once, many times over what is looked through at a time.
func TestUpdateOnceHotDocument(t *testing.T) { //nolint:paralleltest // it loads the server, and others here measure time
	s, dedupes, _ := wired(t)
	coll := dedupes.Database().Collection("accounts")
	const events = 600
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := next.Add(1); i <= 2*events; i = next.Add(1) { // each twice
				o := &mongodoc.UpdateOptions{Key: orderKey(fmt.Sprint(i / 2)), Upsert: true}
				if _, err := s.UpdateOnce(t.Context(), coll, d("_id", 1), d("$inc", d("n", 1)), o); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	doc := document(t, coll, 1)
	if n, seq := number(t, doc, "n"), number(t, doc, "_onceish", "seq"); n != events+1 || seq != n {
		t.Errorf("n is %d, seq is %d, want %d", n, seq, events+1)
	}
}

// The promise ends where the mark does.
func TestUpdateOnceForgets(t *testing.T) {
	t.Parallel()
	s, dedupes, _ := wired(t)
	coll := dedupes.Database().Collection("accounts")
	o := &mongodoc.UpdateOptions{Key: orderKey("1"), Upsert: true}
	inc := d("$inc", d("n", 1))
	wantUpdate(t, s, coll, d("_id", 1), inc, o, inserted)
	if _, err := coll.ReplaceOne(t.Context(), d("_id", 1), d("n", 10)); err != nil {
		t.Fatal(err)
	}
	wantUpdate(t, s, coll, d("_id", 1), inc, o, applied)
	wantUpdate(t, s, coll, d("_id", 1), inc, o, before)
	if n := number(t, document(t, coll, 1), "n"); n != 11 {
		t.Errorf("n is %d after a replacement, want 11", n)
	}
	if _, err := coll.DeleteOne(t.Context(), d("_id", 1)); err != nil {
		t.Fatal(err)
	}
	wantUpdate(t, s, coll, d("_id", 1), inc, o, inserted)
	// A reserved field that somebody else wrote is an error, and no change.
	if _, err := coll.UpdateOne(t.Context(), d("_id", 1), d("$set", d("_onceish", "mine"))); err != nil {
		t.Fatal(err)
	}
	if u, err := s.UpdateOnce(t.Context(), coll, d("_id", 1), inc, o); err == nil {
		t.Errorf("a reserved field that is none: %+v", u)
	}
	if n := number(t, document(t, coll, 1), "n"); n != 1 {
		t.Errorf("n is %d, want 1", n)
	}
}

// A transaction in ctx is refused: what it aborts would stay.
func TestUpdateOnceInTransaction(t *testing.T) {
	t.Parallel()
	s, client, r := recorded(t, nil)
	session, err := client.StartSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.EndSession(t.Context())
	coll := client.Database(mongotest.Database(t).Name()).Collection("accounts")
	o := &mongodoc.UpdateOptions{Key: orderKey("1"), Upsert: true}
	ctx := driver.NewSessionContext(t.Context(), session)
	if u, err := s.UpdateOnce(ctx, coll, d("_id", 1), d("$inc", d("n", 1)), o); err != nil || !u.Inserted {
		t.Errorf("a session without a transaction: %+v, %v", u, err)
	}
	r.take()
	if err := session.StartTransaction(options.Transaction().SetWriteConcern(writeconcern.Majority())); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateOnce(ctx, coll, d("_id", 2), d("$inc", d("n", 1)), o); err == nil || !strings.Contains(err.Error(), "transaction") {
		t.Errorf("in a transaction: %v", err)
	}
	if sent := names(r.take()); len(sent) > 0 {
		t.Errorf("sent %v", sent)
	}
}

// A majority may be behind what the write saw. What it has not seen yet is neither said to be made,
// nor to be impossible.
func TestUpdateOnceBehindMajority(t *testing.T) {
	t.Parallel()
	s, dedupes, w := wired(t)
	direct := dedupes.Database().Collection("accounts")
	if _, err := direct.InsertOne(t.Context(), d("_id", 1, "state", "new")); err != nil {
		t.Fatal(err)
	}
	o := &mongodoc.UpdateOptions{Key: orderKey("1")}
	pay := d("$set", d("state", "paid"), "$inc", d("n", 1))
	wantUpdate(t, s, direct, d("_id", 1, "state", "new"), pay, o, applied)
	behind := true
	w.Rewrite(func(command string, reply bson.D) bson.D {
		if command != "aggregate" || !behind {
			return reply
		}
		behind = false
		cursor, err := bson.Marshal(reply[0].Value)
		if err != nil {
			t.Error(err)
		}
		return mongowire.With(reply, "cursor", d("id", int64(0), "ns", bson.Raw(cursor).Lookup("ns").StringValue(), "firstBatch", bson.A{d("since", int64(0), "marked", false)}))
	})
	wantUpdate(t, s, through(t, w, direct), d("_id", 1, "state", "new"), pay, o, before)
	if n := number(t, document(t, direct, 1), "n"); n != 1 || behind {
		t.Errorf("n is %d; asked a majority: %t", n, !behind)
	}
}
