package memory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// One of two copies of an event is claimed, handled and marked; the other is told to wait, and then
// that it is done.
func Example() {
	ctx := context.Background()
	store, err := memdedupe.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	key := dedupe.Key{Topic: "orders.created", Group: "billing", ID: "order-7"}
	claim := func(nonce string) dedupe.Claim {
		cs, err := store.Claim(ctx, []dedupe.Request{{Key: key, Nonce: nonce, Lease: 30 * time.Second, TTL: time.Hour}})
		if err != nil {
			fmt.Println(err)
			return dedupe.Claim{}
		}
		return cs[0]
	}

	first := claim("one")
	fmt.Println("first copy:", first.State)
	fmt.Println("second copy:", claim("two").State)

	marked, err := store.Settle(ctx, []dedupe.Settlement{{Claim: first, Outcome: dedupe.Succeeded, TTL: time.Hour}})
	fmt.Println("marked:", marked, err)
	fmt.Println("second copy:", claim("two").State)
	// Output:
	// first copy: fresh
	// second copy: held
	// marked: [<nil>] <nil>
	// second copy: done
}
