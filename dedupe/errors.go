package dedupe

import "errors"

var (
	// ErrClosed is returned when the store, or the connection under it, was closed for good: no
	// call will ever be answered again.
	ErrClosed = errors.New("dedupe store is closed")
	// ErrFull is returned for keys that a store at its bound refuses, rather than forget others for
	// them. It costs no attempt: the item is repeated, and fetching stops meanwhile.
	ErrFull = errors.New("dedupe store is full")
	// ErrKeyRefused is returned for a key that a store cannot keep, however often it is asked.
	ErrKeyRefused = errors.New("dedupe store refuses this key")
	// ErrNoTransactions is returned by Transactor.ProbeTransactions when transactions cannot
	// be relied on.
	ErrNoTransactions = errors.New("no transactions that can be relied on")
	// ErrSuperseded is returned for a claim that is another's by now: nothing was changed. Of
	// Extend and of Transactor.Transact also for one that is settled.
	ErrSuperseded = errors.New("claim is superseded")
	// ErrCommitUnknown is returned by Transactor.Transact when it could not be found out in time
	// whether the transaction was committed. The key knows, once the lease is over: a later claim
	// is answered Done, or wins.
	ErrCommitUnknown = errors.New("not known whether the transaction was committed")
	// ErrTransactionAborted is returned by Transactor.Transact when the server gave the transaction
	// up each time that it ran: it conflicted with another one, waited for a lock for too long, or
	// its connection or primary was lost. Nothing was kept, the claim is as it was, and the event
	// is not at fault: give it back, and let it run again a little later.
	ErrTransactionAborted = errors.New("the server gave the transaction up")
	// ErrTransactionEnded is returned by Transactor.Transact when the transaction was over before
	// its commit: the function committed or aborted it, or hid an error by which the server had
	// ended it. Repeating the run does not help.
	ErrTransactionEnded = errors.New("the transaction was over before its commit")
	// ErrCommittedEarly is wrapped beside ErrTransactionEnded when it was the function that
	// committed: the mark is there, with what the function wrote before that. What it wrote
	// afterwards is no part of the transaction.
	ErrCommittedEarly = errors.New("the handler committed its transaction itself")
)
