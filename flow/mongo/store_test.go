package mongo

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/flow/flowtest"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a store of a process whose clock is wrong by skew.
func open(t testing.TB, db string, skew time.Duration) *Store {
	t.Helper()
	s, err := New(mongotest.Client(t).Database(db).Collection("limits"), &Options{now: func() time.Time { return time.Now().Add(skew) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	flowtest.Run(t, flowtest.Harness{New: func(t *testing.T) flowtest.Open {
		db := mongotest.Database(t).Name()
		return func(skew time.Duration) flow.Store { return open(t, db, skew) }
	}})
}

func TestRowsExpireByAnIndexThatIsMadeByItself(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	s, err := New(coll, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if _, err := s.Swap(t.Context(), "key", 0, []byte("data"), time.Hour); err != nil {
		t.Fatal(err)
	}
	specs, err := coll.Indexes().ListSpecifications(t.Context())
	if err != nil || len(specs) != 2 || specs[1].Name != "expireAt_1" || specs[1].ExpireAfterSeconds == nil || *specs[1].ExpireAfterSeconds != 0 {
		t.Errorf("the indexes are %+v (%v)", specs, err)
	}
	var row struct {
		ExpireAt time.Time `bson:"expireAt"`
	}
	if err := coll.FindOne(t.Context(), bson.D{{Key: "_id", Value: "key"}}).Decode(&row); err != nil {
		t.Fatal(err)
	}
	if d := row.ExpireAt.Sub(before); d < 59*time.Minute || d > 61*time.Minute {
		t.Errorf("the row expires in %v, want an hour", d)
	}
	if err := s.Prepare(t.Context()); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// A row that has expired may be replaced by whoever remembers it; a document of somebody else's is
// malformed, and replaced.
func TestRowThatIsGoneOrForeignIsReplaced(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	s, err := New(coll, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Swap(t.Context(), "gone", 77, []byte("data"), time.Hour); err != nil {
		t.Errorf("gone: %v", err)
	}
	for id, doc := range map[string]bson.D{
		"other fields":  {{Key: "_id", Value: "other fields"}, {Key: "x", Value: 1}},
		"other types":   {{Key: "_id", Value: "other types"}, {Key: "revision", Value: "one"}, {Key: "data", Value: 3}},
		"no data at it": {{Key: "_id", Value: "no data at it"}, {Key: "revision", Value: int64(5)}},
	} {
		if _, err := coll.InsertOne(t.Context(), doc); err != nil {
			t.Fatal(err)
		}
		row, err := s.Swap(t.Context(), id, 0, []byte("data"), time.Hour)
		if errors.Is(err, flow.ErrConflict) && row.Revision == 5 && row.Data == nil {
			row, err = s.Swap(t.Context(), id, row.Revision, []byte("data"), time.Hour)
		}
		if err != nil || string(row.Data) != "data" {
			t.Errorf("%s: %q, %v", id, row.Data, err)
		}
	}
}

func TestInvalidNamesAreRefused(t *testing.T) {
	t.Parallel()
	db := mongotest.Client(t).Database("limits")
	for _, name := range []string{"", "a$b", "system.limits", "a\x00b", ".a", "a.", strings.Repeat("x", 255)} {
		if _, err := New(db.Collection(name), nil); !errors.Is(err, ErrInvalidName) {
			t.Errorf("%q: %v, want ErrInvalidName", name, err)
		}
	}
	if _, err := New(nil, nil); err == nil {
		t.Error("a nil collection is taken")
	}
}

func BenchmarkSwap(b *testing.B) {
	s, err := New(mongotest.Collection(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	var row flow.Row
	for b.Loop() {
		if row, err = s.Swap(b.Context(), "key", row.Revision, []byte("the state of a bucket takes 40 bytes"), time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}
