package outbox

import (
	"context"
	"time"
)

// Queue is what a Drainer needs of a store. Results are parallel to the argument. An error says
// nothing of what was done: the caller repeats the call, and every call may be repeated. All is
// safe for concurrent use; a call blocks until the store has answered or ctx has ended, and does
// not retry for longer than ctx lasts.
//
// Times are durations on the store's own clock; the instant in a Lease is the store's, and nobody
// else compares it with anything.
type Queue interface {
	// Acquire takes and renews partitions for the owner, and returns all leases that it has. The
	// store spreads the partitions evenly over the owners that asked within the last lease: an
	// owner with fewer than its share gets what is free or whose lease is over; one with more has
	// the surplus marked as Ending, which is not renewed. Which ones is the store's choice; those
	// an owner has should be neighbours, for a drainer asks for a run of them at once. Every
	// drainer has a name of its own. The number of partitions lives in the store: 64 unless it was
	// made with another number.
	Acquire(ctx context.Context, owner string, lease time.Duration) ([]Lease, error)
	// Release gives leases back: others may take them at once. It touches none that was renewed
	// since. An owner that has none left afterwards does not count in the sharing until it asks
	// again; so Release(ctx, owner, nil) of one without leases is how it leaves.
	Release(ctx context.Context, owner string, leases []Lease) error
	// Pending returns pending rows with hashes from Ask.From to Ask.To in the order of (Hash, Seq,
	// ID), due or not. It changes nothing and needs no lease. Rows that were settled before the
	// call are not among them. For each key a page is of one moment: it has no row without the
	// pending rows of that key which come before it, and were stored no later.
	Pending(ctx context.Context, a Ask) (Page, error)
	// Settle writes what became of rows, each on the condition that the row is pending in the
	// version that was read, and that the lease is not over by the store's clock. A lease ends only
	// by its time or by Release, so that condition alone keeps a former owner from writing. False:
	// fenced, changed or gone, and nothing was written. A repeat of a settlement that was applied
	// is true. A row occurs at most once in a call.
	Settle(ctx context.Context, rs []Result) ([]bool, error)
}

// Lease is a partition that an owner has for a time.
type Lease struct {
	// Partition is its number, from 0.
	Partition int
	// First and Last are its hashes, inclusive.
	First, Last uint64
	// Token grows with every change of owner, and stays when the owner renews: under one token
	// nobody else had the partition meanwhile.
	Token uint64
	// Until is when the lease ends, on the store's clock. It is for the store alone: for its
	// Settle and Release.
	Until time.Time
	// Left is what is left of the lease. The owner counts it from when it sent its request.
	Left time.Duration
	// Ending: others wait for the partition. The lease is not renewed; the owner finishes what is
	// on its way, and releases it.
	Ending bool
}

// Ask asks for pending rows.
type Ask struct {
	// From and To are the hashes asked for, inclusive.
	From, To uint64
	// Rows and Bytes bound the page: it ends with the row that reaches one of them. Bytes are those
	// of Size. Both positive.
	Rows, Bytes int
	// PastDead: also rows that come behind a dead row of their key, in (Seq, ID). Otherwise those
	// are left out. Rows without a key are behind nothing.
	PastDead bool
}

// Page is an answer to Ask.
type Page struct {
	// Rows that were found. A page may have none, and not be the last.
	Rows []Row
	// Next is the hash from which the next page starts, above every hash of this page: what a page
	// that was cut left out of its last hash has to be asked for again. So no key holds up others,
	// however many rows it has. Zero: this was the last page.
	Next uint64
	// Cut: of the last hash that was looked at there may be more rows.
	Cut bool
}

// Outcome is what became of a row.
type Outcome uint8

const (
	// Confirmed: pending → sent.
	Confirmed Outcome = iota
	// Refused: an attempt is counted; pending, due after Result.After.
	Refused
	// GivenUp: an attempt is counted if Result.Attempt says so; pending → dead.
	GivenUp
)

var outcomeNames = []string{"confirmed", "refused", "given up"}

// String is the outcome's name in lower case.
func (o Outcome) String() string { return nameOf(o, outcomeNames) }

// Status is the status that the outcome leads to.
func (o Outcome) Status() Status {
	switch o {
	case Confirmed:
		return Sent
	case Refused:
		return Pending
	case GivenUp:
		return Dead
	}
	return 0
}

// Result says what became of a row.
type Result struct {
	// Lease under which it was published.
	Lease Lease
	// ID is Row.ID.
	ID string
	// Version of the row as it was read.
	Version uint64
	// Outcome is what became of it.
	Outcome Outcome
	// Attempt (GivenUp): the bus refused it, which counts as an attempt.
	Attempt bool
	// After (Refused) is when it is due again.
	After time.Duration
	// Reason (Refused, GivenUp) is why. It is cut to MaxReason.
	Reason string
}

// Watcher is found by assertion on a Queue. It only wakes: a Drainer finds rows without
// it, if later.
type Watcher interface {
	// Watch calls wake when rows may have been added or become pending, until ctx ends or it can go
	// on no more. It may call too often and miss some. The caller repeats it; wake does not block.
	Watch(ctx context.Context, wake func()) error
}
