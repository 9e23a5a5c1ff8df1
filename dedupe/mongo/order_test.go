package mongo_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

// shared is how many keys crowds share. With few of them one caller is done before the
// next one comes.
const shared = 1000

// crowd calls a store at once, for the same keys, in opposite orders.
type crowd struct {
	*testing.T
	store *mongodedupe.Store
}

// id is the i-th of a caller.
func (c *crowd) id(caller, i int) string {
	if caller%2 == 1 {
		i = shared - 1 - i
	}
	return fmt.Sprintf("%04d", i)
}

// calls has six callers call, and returns what they won.
func (c *crowd) calls(call func(caller int) ([]dedupe.Claim, error)) (won []dedupe.Claim) {
	c.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 6 {
		wg.Go(func() {
			<-start
			cs, err := call(i)
			if err != nil {
				c.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, claim := range cs {
				if claim.State == dedupe.Fresh {
					won = append(won, claim)
				}
			}
		})
	}
	close(start)
	wg.Wait()
	if c.Failed() {
		c.FailNow()
	}
	return won
}

func (c *crowd) claim(round string) []dedupe.Claim {
	c.Helper()
	won := c.calls(func(caller int) ([]dedupe.Claim, error) {
		rs := make([]dedupe.Request, shared)
		for i := range rs {
			rs[i] = request(c.id(caller, i), 2*patience)
			rs[i].Nonce = fmt.Sprint(round, caller)
		}
		return c.store.Claim(c.Context(), rs)
	})
	if len(won) != shared {
		c.Fatalf("%s: %d claims of %d keys were won", round, len(won), shared)
	}
	return won
}

// Batches that share keys do not wait for each other in a circle on servers that lock rows until a
// command ends: whether the keys are new, to be taken over, or marked.
func TestOppositeOrders(t *testing.T) {
	t.Parallel()
	client := connect(t, options.Client().ApplyURI(mongotest.URI(t)).SetRetryWrites(false))
	s, err := mongodedupe.New(t.Context(), collection(t, client), &mongodedupe.Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{T: t, store: s}
	var ss []dedupe.Settlement
	for _, won := range c.claim("new") {
		ss = append(ss, dedupe.Settlement{Claim: won, Outcome: dedupe.Failed, TTL: time.Hour})
	}
	if _, err := s.Settle(t.Context(), ss); err != nil {
		t.Fatal(err)
	}
	c.claim("free")
	c.calls(func(caller int) ([]dedupe.Claim, error) {
		ms := make([]dedupe.Mark, shared)
		for i := range ms {
			ms[i] = dedupe.Mark{Key: request(c.id(caller, i), 0).Key, State: dedupe.Done, TTL: time.Hour}
		}
		return nil, each(s.Mark(t.Context(), ms))
	})
}

// pendingIDs are those that the statements of an update are about, in their order.
func pendingIDs(t *testing.T, cmd bson.Raw) (all []string) {
	t.Helper()
	var c struct {
		Updates []struct {
			Q struct {
				ID bson.RawValue `bson:"_id"`
			}
		}
	}
	if err := bson.Unmarshal(cmd, &c); err != nil {
		t.Fatal(err)
	}
	for _, u := range c.Updates {
		if id, ok := u.Q.ID.StringValueOK(); ok {
			all = append(all, id)
			continue
		}
		var some []string
		if err := u.Q.ID.Document().Lookup("$in").Unmarshal(&some); err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

// Takeovers and settlements write their rows in the same order, the order of their ids: a late
// settlement of what others take over waits for them in no circle either.
func TestTakeoversAndSettlementsHaveOneOrder(t *testing.T) {
	t.Parallel()
	s, _, r := recorded(t, nil)
	names := []string{"c", "a", "e", "b", "d"}
	var taken []dedupe.Request
	var late []dedupe.Settlement
	for i, id := range names {
		c := claimOne(t, s, request(id, time.Millisecond))
		late = append(late, dedupe.Settlement{Claim: c, Outcome: dedupe.Failed, After: time.Duration(i) * time.Second, TTL: time.Hour})
		taken = append(taken, other(id))
	}
	for _, id := range names {
		lapse(t, s, request(id, time.Minute))
	}
	r.take()
	if _, err := s.Claim(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Settle(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	updates := 0
	for _, cmd := range r.take() {
		if cmd.Lookup("update").IsZero() {
			continue
		}
		updates++
		if got := pendingIDs(t, cmd); len(got) != len(names) || !slices.IsSorted(got) {
			t.Errorf("rows are written in the order %v", got)
		}
	}
	if updates != 2 {
		t.Errorf("%d updates, want the takeovers and the settlements", updates)
	}
}
