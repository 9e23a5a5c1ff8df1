package dedupe

import (
	"context"
	"time"
)

// Claimer is found by assertion on a Store; the mode claimed needs it. As with Store, results are
// parallel to the argument, each item has an answer of its own, the last result says nothing of any
// item, every call may be repeated, and all is safe for concurrent use. A key occurs at most once
// in a batch of Extend or Settle; in a batch of Claim it may repeat, and at most one request wins.
//
// The items of Extend and Settle are errors. Nil: renewed, or stored. One that wraps
// ErrSuperseded: the claim is another's by now, and nothing was changed. Any other: this item was
// refused or not stored; the caller repeats it alone, backing off. It wraps ErrKeyRefused when no
// repetition will help.
//
// Times are durations on the store's own clock; no instant crosses the interface.
type Claimer interface {
	// Claim asks for a lease of each key. Where the key is absent, expired, free and due, or its
	// lease is over, it wins the claim (Fresh), or takes over what is to be dead-lettered
	// (DeadLettering). The payload hash is compared before anything else, in every state: a
	// mismatch (Differ) is Reused. A nil hash on either side matches any, and so do hashes of
	// different algorithms. A request repeated under the same nonce finds its own claim and renews
	// the lease, also one that is over; it counts no crash. Taking over somebody else's claimed
	// key whose lease is over counts one. If the row is free and its last nonce is the request's
	// own, the request is a late repeat: it is Held, for if it won again a repeated settlement
	// would match the new claim. Where others are faster several times in a row, a store may
	// answer Held without having seen the holder: all but Key, Nonce and HeldFor is zero then, and
	// nothing was claimed.
	Claim(ctx context.Context, rs []Request) ([]Claim, error)
	// Extend renews the leases of claims, and their TTL; the lease runs from when the store hears
	// of it. A claim that was settled is superseded too. A lease that is over is renewed all the
	// same while nobody has taken over. Where the row is absent the claim is written again: as
	// claimed, or as dead-lettering if its State is DeadLettering.
	Extend(ctx context.Context, cs []Claim, lease, ttl time.Duration) ([]error, error)
	// Settle ends claims by their Outcome. It matches by nonce and by the state that the outcome
	// starts from, whether the lease is over or not. A repeat of a settlement that was applied is
	// nil, and changes no count, for as long as nobody else has claimed the key, and beyond that
	// while its Attempt is in the history of the key. Absent is not superseded: where the row is
	// absent, the row is written that the settlement would have left, from what the claim says, so
	// that what its owner knows is not forgotten.
	Settle(ctx context.Context, ss []Settlement) ([]error, error)
}

// Request asks for a claim.
type Request struct {
	Key Key
	// Nonce is new for each claim, and unique over all processes: it is the owner of what the
	// request wins. It is kept only when that very request is repeated after an error.
	Nonce string
	// Hash of the payload, as NewHash makes it; nil: payloads are not compared.
	Hash []byte
	// Lease is how long the claim runs unless it is extended. Positive.
	Lease time.Duration
	// TTL is how long the key is kept after this write. Positive, and longer than Lease.
	TTL time.Duration
}

// Claim is a store's answer to a Request.
type Claim struct {
	Key   Key
	State State
	// Nonce of the request.
	Nonce string
	// Token grows with every takeover of the key; it starts at 1 or above. A store that is asked
	// under a larger token is asked by a later owner.
	Token uint64
	// HeldFor is what is left: Held: of the other's lease, or until it is due; Fresh and
	// DeadLettering: of yours. At least 0.
	HeldFor time.Duration
	// Age is the time since the key was first claimed; it survives release and takeover.
	Age time.Duration
	// Hash is that of the payload which was claimed first.
	Hash []byte
	// Attempts is how many runs ended in a failure.
	Attempts int
	// Crashes is how many claims ended by their lease alone.
	Crashes int
	// Reason (DeadLettering) is why the event was given up.
	Reason string
	// Letter (DeadLettering) is the id under which its dead letter is published.
	Letter string
	// History (Fresh, DeadLettering) is the last failed attempts, at most MaxHistory, the earliest
	// first; nil: there were none.
	History []Attempt
	// Note is what a Noter keeps with the key, in every state; empty: nothing.
	Note string
	// Err is set where the store could not answer this request; the other fields but Key and Nonce
	// are zero then. It wraps ErrKeyRefused when the store refuses the key for ever. Otherwise
	// (ErrFull: the store is at its bound) the caller repeats this request alone, backing off.
	Err error
}

// Outcome is how a claim ends.
type Outcome uint8

const (
	// Succeeded: claimed → done.
	Succeeded Outcome = iota
	// Failed: claimed → free, and an attempt is counted.
	Failed
	// NotBegun: claimed → free, and nothing is counted.
	NotBegun
	// GivenUp: claimed → dead-lettering, under the same nonce, with a lease of Settlement.Lease.
	// The dead letter comes next.
	GivenUp
	// DeadLettered: dead-lettering → dead. The dead letter is stored.
	DeadLettered
)

var outcomeNames = []string{"succeeded", "failed", "not begun", "given up", "dead-lettered"}

// String is the outcome's name in lower case.
func (o Outcome) String() string { return nameOf(o, outcomeNames) }

// Settlement ends a claim.
type Settlement struct {
	// Claim as it was answered. Its Key and Nonce matter, and where the row is absent all of it.
	Claim   Claim
	Outcome Outcome
	// After (Failed, NotBegun): when the key is due again; until then claims are answered Held.
	After time.Duration
	// Reason (GivenUp) is why. It is cut to 4 KiB.
	Reason string
	// Letter (GivenUp) is the id under which the dead letter is published.
	Letter string
	// CountAttempt (GivenUp): the event is given up for a run that failed.
	CountAttempt bool
	// Lease (GivenUp): for how long the dead letter is this owner's to store.
	Lease time.Duration
	// Attempt (Failed, NotBegun, GivenUp) is the run that failed, for the history of the key. It is
	// added once, whether it is counted or not. Nil: there was none. A store without room for it
	// settles without it.
	Attempt *Attempt
	// TTL is how long the key is kept after this write. Positive.
	TTL time.Duration
}

// Reopener sets dead-lettering and dead keys free again, counts and age zero, hash forgotten, due
// at once: before a redrive publishes. The history stays. Keys in other states, or unknown, are
// left alone; their item is nil, as that of a key that was reopened. Any other item is that key's
// own, and keeps no other key from being reopened. It may be repeated.
type Reopener interface {
	Reopen(ctx context.Context, keys []Key) ([]error, error)
}
