package mongodoc_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/mongodoc"
)

// ring is a store, and a collection whose documents it changes.
type ring struct {
	t     *testing.T
	s     *mongodoc.Updater
	store *mongodedupe.Store
	coll  *driver.Collection
	o     mongodoc.UpdateOptions
	plain *driver.Collection // the store's own
}

func newRing(t *testing.T, o *mongodoc.Options) *ring {
	t.Helper()
	db := mongotest.Database(t)
	store := openStore(t, db.Collection("dedupe"), nil)
	s, err := mongodoc.New(store, o)
	if err != nil {
		t.Fatal(err)
	}
	return &ring{t: t, s: s, store: store, coll: db.Collection("accounts"), plain: db.Collection("dedupe"), o: mongodoc.UpdateOptions{Upsert: true}}
}

func (r *ring) change(id string) (mongodoc.Update, error) {
	o := r.o
	o.Key = orderKey(id)
	return r.s.UpdateOnce(r.t.Context(), r.coll, d("_id", 1), d("$inc", d("n", 1)), &o)
}

// changes makes those from one number to before another, and wants each to be the first.
func (r *ring) changes(from, to int) {
	r.t.Helper()
	for i := from; i < to; i++ {
		if u, err := r.change(fmt.Sprint(i)); err != nil || u.Before {
			r.t.Fatalf("change %d: %+v, %v", i, u, err)
		}
	}
}

func (r *ring) marks() int {
	r.t.Helper()
	a, ok := document(r.t, r.coll, 1).Lookup("_onceish", "applied").ArrayOK()
	if !ok {
		r.t.Fatal("no marks")
	}
	all, err := a.Values()
	if err != nil {
		r.t.Fatal(err)
	}
	return len(all)
}

// mark writes the state of events' dedupe rows.
func (r *ring) mark(state dedupe.State, from, to int) {
	r.t.Helper()
	var marks []dedupe.Mark
	for i := from; i < to; i++ {
		marks = append(marks, dedupe.Mark{Key: orderKey(fmt.Sprint(i)), State: state, TTL: time.Hour})
	}
	if err := each(r.store.Mark(r.t.Context(), marks)); err != nil {
		r.t.Fatal(err)
	}
}

// Marks go when their TTL is over, unless the event's row says that it may come again.
func TestUpdateOncePrunesByAge(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	r.o.TTL = time.Millisecond
	r.mark(dedupe.Dead, 0, 10) // may be redriven
	claim, err := r.store.Claim(t.Context(), []dedupe.Request{{Key: orderKey("10"), Nonce: "n", Lease: time.Millisecond, TTL: time.Hour}})
	if err != nil || claim[0].State != dedupe.Fresh {
		t.Fatal(claim, err)
	}
	r.changes(0, 50)
	r.o.TTL = 0
	r.changes(50, 100)
	if n := r.marks(); n != 100 {
		t.Fatalf("%d marks before they are looked through, want all 100", n)
	}
	r.changes(100, 101)
	if n := r.marks(); n != 11+50+1 {
		t.Errorf("%d marks, want those of 11 events that may come again, 50 that are young, and the last", n)
	}
	for _, i := range []int{0, 9, 10, 50, 99, 100} {
		if u, err := r.change(fmt.Sprint(i)); err != nil || !u.Before {
			t.Errorf("a repeat of %d: %+v, %v", i, u, err)
		}
	}
}

// Marks of events that are done go some time after they were seen done, and not before.
func TestUpdateOncePrunesWhatIsDone(t *testing.T) {
	t.Parallel()
	r := newRing(t, nil)
	r.changes(0, 100)
	r.mark(dedupe.Done, 0, 90)
	r.changes(100, 101)
	if n := r.marks(); n != 101 {
		t.Fatalf("%d marks once they are seen done, want all 101", n)
	}
	r.changes(101, 226) // the next looking through comes 125 changes after the first
	if n := r.marks(); n != 226 {
		t.Errorf("%d marks less than an hour after they were seen done, want all 226", n)
	}
	shorter, err := mongodoc.New(r.store, mongodoc.Options{}.Grace(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	r.s = shorter
	r.changes(226, 382) // and the next 156 after that one
	if n := r.marks(); n != 382-90 {
		t.Errorf("%d marks, want %d", n, 382-90)
	}
	for _, i := range []int{90, 381} {
		if u, err := r.change(fmt.Sprint(i)); err != nil || !u.Before {
			t.Errorf("a repeat of %d: %+v, %v", i, u, err)
		}
	}
}

// At the bound nothing is changed and nothing is forgotten; there is room again once marks may go.
func TestUpdateOnceRingFull(t *testing.T) {
	t.Parallel()
	r := newRing(t, mongodoc.Options{}.Grace(time.Millisecond))
	r.o.MaxApplied = 20
	r.changes(0, 20)
	for range 2 {
		if u, err := r.change("20"); !errors.Is(err, mongodoc.ErrRingFull) || !strings.Contains(err.Error(), "20 of at most 20") {
			t.Fatalf("beyond the bound: %+v, %v", u, err)
		}
	}
	if n := number(t, document(t, r.coll, 1), "n"); n != 20 || r.marks() != 20 {
		t.Errorf("n is %d with %d marks", n, r.marks())
	}
	if u, err := r.change("7"); err != nil || !u.Before {
		t.Errorf("a repeat at the bound: %+v, %v", u, err)
	}
	r.mark(dedupe.Done, 0, 5)
	if _, err := r.change("20"); !errors.Is(err, mongodoc.ErrRingFull) {
		t.Errorf("seen done a moment ago: %v", err)
	}
	time.Sleep(2 * time.Millisecond) // the grace, on the server's clock
	r.changes(20, 25)
	if _, err := r.change("25"); !errors.Is(err, mongodoc.ErrRingFull) {
		t.Errorf("full again: %v", err)
	}
	r.o.MaxApplied = 30
	r.changes(25, 35)
	if n := r.marks(); n != 30 {
		t.Errorf("%d marks, want 30", n)
	}
}

// A mark that is made while marks are looked through is not lost: what was read is written back
// only if nothing has changed since.
func TestUpdateOncePruningRace(t *testing.T) {
	t.Parallel()
	// One call takes as long as a hundred others, which are made within it.
	s, dedupes, w := wiredWith(t, &mongodoc.Options{Timeout: 4 * patience})
	direct := dedupes.Database().Collection("accounts")
	coll := through(t, w, direct)
	call := func(coll *driver.Collection, id string, ttl time.Duration) (mongodoc.Update, error) {
		return s.UpdateOnce(t.Context(), coll, d("_id", 1), d("$inc", d("n", 1)), &mongodoc.UpdateOptions{Key: orderKey(id), Upsert: true, TTL: ttl})
	}
	for i := range 100 {
		if _, err := call(direct, fmt.Sprint(i), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	// The answer that has the marks to be looked through comes after others have pruned them and
	// changed the document, as often as it had been changed before.
	var once sync.Once
	w.Rewrite(func(command string, reply bson.D) bson.D {
		if raw, err := bson.Marshal(reply); command == "aggregate" && err == nil && strings.Contains(string(raw), "applied") {
			once.Do(func() {
				for i := range 100 {
					if _, err := call(direct, fmt.Sprint("other", i), time.Hour); err != nil {
						t.Error(err)
					}
				}
			})
		}
		return reply
	})
	if u, err := call(coll, "mine", time.Hour); err != nil || u.Before {
		t.Fatal(u, err)
	}
	for _, id := range []string{"other0", "other99", "mine"} {
		if u, err := call(direct, id, 0); err != nil || !u.Before {
			t.Errorf("a repeat of %s: %+v, %v", id, u, err)
		}
	}
	if n := number(t, document(t, direct, 1), "n"); n != 201 {
		t.Errorf("n is %d, want 201", n)
	}
}
