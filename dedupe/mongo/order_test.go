package mongo_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/mongotest"
)

// shared is how many keys crowds share. With few of them one caller is done before the next one comes.
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

// Batches that share keys do not wait for each other in a circle on servers that lock rows until a command ends: whether the keys are new,
// to be taken over, or marked.
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
