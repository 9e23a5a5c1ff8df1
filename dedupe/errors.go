package dedupe

import "errors"

var (
	// ErrClosed is returned when the store, or the connection under it, was closed for good: no call will ever be answered again.
	ErrClosed = errors.New("dedupe store is closed")
	// ErrFull is returned when a store is at its bound and refuses rather than forgets. It costs no attempt: the call is
	// repeated, and fetching stops meanwhile.
	ErrFull = errors.New("dedupe store is full")
	// ErrKeyRefused is what Claim.Err wraps when a store cannot keep a key, however often it is asked.
	ErrKeyRefused = errors.New("dedupe store refuses this key")
	// ErrNoTransactions is returned by Transactor.ProbeTransactions when transactions cannot be relied on.
	ErrNoTransactions = errors.New("no transactions that can be relied on")
	// ErrSuperseded is returned by Transactor.Transact when the claim is another's by now, or settled. Nothing of the transaction
	// was kept.
	ErrSuperseded = errors.New("claim is superseded")
	// ErrCommitUnknown is returned by Transactor.Transact when it could not be found out in time whether the transaction was
	// committed. The key knows, once the lease is over: a later claim is answered Done, or wins.
	ErrCommitUnknown = errors.New("not known whether the transaction was committed")
)
