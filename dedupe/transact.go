package dedupe

import (
	"context"
	"time"
)

// Transactor is found by assertion on a Claimer; the mode transactional needs it. It ends a claim
// as Succeeded in one transaction with what a function writes: both are there, or neither is. Safe
// for concurrent use.
type Transactor interface {
	// ProbeTransactions makes sure that the server isolates what is not committed and undoes
	// what is aborted, for some answer OK to what they do not do. It blocks for a few round
	// trips and leaves nothing behind. An error wraps ErrNoTransactions and says what to do. It
	// may be repeated.
	ProbeTransactions(ctx context.Context) error
	// Transact renews the claim for lease, turns it into the mark, kept for ttl, runs fn, and
	// commits. The mark is the first statement of the transaction: it matches as Settle does
	// for Succeeded, and locks the key until the end. Whoever takes over once the lease is over
	// ends a transaction that still holds the lock, or is answered Held; no claim waits for it.
	// The ctx of fn carries the transaction to whatever joins it; it ends when ctx does, and at
	// the time limit.
	//
	// fn may run several times, one after the other, each time in a new transaction after the one
	// before came to nothing: its error said that the server gave the transaction up (a write
	// conflict, a change of primary), or the commit was answered so. After a few such runs, or
	// once about a second has passed, it is not run again: ErrTransactionAborted. Any other error
	// of fn aborts, and is returned as it is. A panic of fn aborts, and goes on. When ctx ends
	// before the commit, the transaction is aborted, whatever fn returns; a commit that has begun
	// is not cut off.
	//
	// fn must not end the transaction itself, nor hide an error by which the server has ended
	// it: ErrTransactionEnded.
	//
	// The lease bounds the whole, the runs together at most MaxTransaction. It is positive, and
	// shorter than ttl.
	//
	// Nil: committed. An error that wraps ErrSuperseded, ErrCommitUnknown or ErrTransactionEnded is
	// what these say; after any other the claim is as it was, and is to be settled. A repeat for a
	// claim that was committed is nil, and does not run fn.
	Transact(ctx context.Context, c Claim, lease, ttl time.Duration, fn func(ctx context.Context) error) error
}

// MaxTransaction is the most that the runs of a transaction may take together: MongoDB ends a
// transaction after 60 s by default.
const MaxTransaction = 55 * time.Second
