package dedupe_test

import (
	"fmt"

	"github.com/onceish/onceish/dedupe"
)

// Each group handles an event once for itself, and no two keys are written alike.
func ExampleKey_String() {
	fmt.Println(dedupe.Key{Topic: "order.placed", Group: "billing", ID: "17"})
	fmt.Println(dedupe.Key{Topic: "order.placed", Group: "audit", ID: "17"})
	fmt.Println(dedupe.Key{Topic: "order.placed", Group: "audit", ID: "eu::17"})
	// Output:
	// order.placed::billing::17
	// order.placed::audit::17
	// order.placed::audit::eu%3A%3A17
}
