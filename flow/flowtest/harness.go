package flowtest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/flow"
)

// Open opens a store for a process whose clock is wrong by skew. All that one Open opens are on the
// same server.
type Open func(skew time.Duration) flow.Store

// Harness says how to make what is tested.
type Harness struct {
	// New makes a server, or a place on it, that has no rows.
	New func(t *testing.T) Open
	// Virtual runs each case in a bubble of testing/synctest, where time costs nothing, and times
	// are checked exactly.
	Virtual bool
}

// Run tests a store.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, f := range map[string]func(t *testing.T, h *Harness, open Open){
		"swap replaces the row that was read":              swapReplaces,
		"swaps at a time lose nothing":                     swapsLoseNothing,
		"clocks of processes do not matter":                clocksDoNotMatter,
		"processes share a token bucket":                   sharing(flow.Rate{Limit: 200, Per: time.Second, Burst: 50}),
		"processes share a fixed window":                   sharing(flow.Rate{Limit: 200, Per: time.Second, Strategy: flow.FixedWindow}),
		"processes share a sliding window":                 sharing(flow.Rate{Limit: 200, Per: time.Second, Strategy: flow.SlidingWindow}),
		"processes share a sliding log":                    sharing(flow.Rate{Limit: 200, Per: time.Second, Strategy: flow.SlidingLog}),
		"a closed key is closed for every process":         closingReachesAll,
		"a malformed row is repaired without a burst":      malformedIsRepaired,
		"another rate takes effect without a burst":        ratesAreConverted,
		"a store that is gone opens the local share":       failsOpen,
		"a store that is gone closes what is to be closed": failsClosed,
		"keys have limits of their own":                    keysAreApart,
		"rows are listed by key, page by page":             rowsAreListed,
		"what is used is listed for each key":              usageIsListed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if h.Virtual {
				synctest.Test(t, func(t *testing.T) { f(t, &h, h.New(t)) })
			} else {
				f(t, &h, h.New(t))
			}
		})
	}
}
