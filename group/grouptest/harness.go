package grouptest

import (
	"testing"
	"time"

	"github.com/onceish/onceish/group"
)

// Harness says how to make a store. Only New is required.
type Harness struct {
	// New makes a store that is empty, with a TTL of 2 to 5 s. It stays valid until the test
	// has ended.
	New func(t *testing.T) Subject
	// Run calls body, in a synctest bubble say. Nil: it is called as it is.
	Run func(t *testing.T, body func(t *testing.T))
	// Latency is how long a call takes at most on its way to the store, and back, at random. Zero:
	// as long as it takes.
	Latency time.Duration
	// Cycles is how many random cycles of pause and resume there are. Zero: 1,000.
	Cycles int
}

// Subject is one store and what can be done to it. What is nil cannot be done.
type Subject struct {
	Store group.Store
	// Reset deletes all that the store has, as an administrator would who deletes buckets.
	Reset func(t *testing.T)
	// Restart stops the store's server for a moment.
	Restart func(t *testing.T)
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Run == nil {
		h.Run = func(t *testing.T, body func(t *testing.T)) { t.Helper(); body(t) }
	}
	if h.Cycles == 0 {
		h.Cycles = 1000
	}
	for name, scenario := range map[string]func(*testing.T, *kit){
		"writes name the revision they replace":                       writesNameRevisions,
		"rows of members and leases expire and pauses stay":           rowsExpire,
		"listings see all writes and a watch signals changes":         listingsAndWatches,
		"a killed process is gone after the TTL":                      killedProcess,
		"a drained process is gone at once":                           drainedProcess,
		"a frozen process is back once and meets the pause":           frozenProcess,
		"a process that is frozen for a moment goes on":               momentarilyFrozen,
		"a process may be frozen at any moment":                       frozenAnytime,
		"a pause is confirmed by all":                                 confirmedPause,
		"a process that does not confirm is named as missing":         missingMember,
		"a process that dies while it is waited for is named as gone": goneMember,
		"a process that starts while paused starts paused":            startPaused,
		"pauses of group and topic are independent":                   independentScopes,
		"a pause with an end ends in every process":                   endingPause,
		"a pause is met after a cut":                                  cutWhilePaused,
		"a resume is met after a cut":                                 cutWhileResumed,
		"the later of two requests holds":                             superseded,
		"an unreadable row keeps what was read last":                  unreadableRow,
		"a deleted store is joined again":                             deletedStore,
		"a pause outlives a restart of the store":                     restartedStore,
		"a lease has one holder":                                      leaseHolder,
		"a lease that is not renewed is lost before others take it":   lostLease,
		"a lease of a process that hangs is lost as well":             stuckHolder,
		"no run starts while a pause is confirmed":                    randomCycles,
		"partitions are spread and those that stay go on":             spreadPartitions,
		"partitions of a process that leaves are taken over":          leavingOwner,
		"partitions of a killed process are taken over":               killedOwner,
		"a drained process owns nothing and may own again":            drainedOwner,
		"a name keeps its partitions over a restart":                  namedOwner,
		"a frozen process loses its partitions before others own":     frozenOwner,
		"a process that is cut off loses and takes up again":          cutOwner,
		"members that come and go at once share all partitions":       racingPlanners,
		"owners go on though the store was deleted":                   ownersOfDeletedStore,
		"who joins a deleted store takes nothing from its owners":     joinerOfDeletedStore,
		"a run that ends by itself or panics is planned again":        failingOwner,
		"another number of partitions waits for members to leave":     otherLayout,
		"a run that does not return loses its partition":              stubbornOwner,
		"a partition has one owner whatever happens":                  randomOwners,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h.Run(t, func(t *testing.T) {
				k := &kit{Subject: h.New(t), cycles: h.Cycles, latency: h.Latency}
				defer k.end(t)
				scenario(t, k)
			})
		})
	}
}

// kit is what a scenario works with.
type kit struct {
	Subject

	cycles    int
	latency   time.Duration
	processes []*process
	ledger    ledger
	// mayHaveOwners is that of assignments.
	mayHaveOwners bool
}

const name = "billing.eu"

func (k *kit) end(t *testing.T) {
	t.Helper()
	for _, p := range k.processes {
		p.link.set(connected)
		p.stop(t)
	}
	for _, broken := range k.ledger.broken() {
		t.Error(broken)
	}
}

func (k *kit) ttl() time.Duration { return k.Store.TTL() }

// members are the ids of the roster.
func (k *kit) members(t *testing.T) (ids []string) {
	t.Helper()
	members, err := group.Members(t.Context(), k.Store, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	return ids
}

// eventually waits until a condition holds. It fails the test after the time that a store may take
// to restart, and rows to expire.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
