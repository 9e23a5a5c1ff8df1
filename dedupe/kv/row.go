package kv

import (
	"cmp"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/serverclock"
)

// keyRow is what is kept under a key. It holds durations that run from when its revision was
// stored, by the server's clock; the one instant in it is Since.
type keyRow struct {
	Phase dedupe.Phase
	// Owner is the nonce of the claim; it stays when the claim is settled, so that a repeat
	// is recognised.
	Owner string
	// Token is the revision in which the owner took the key. Zero: this one.
	Token uint64
	// Span is the lease of what is claimed or dead-lettering; of what is free, the time
	// until it is due.
	Span time.Duration
	// TTL is when the row is over.
	TTL time.Duration
	// Since is when the key was first claimed. Zero: when this revision was stored, or never, of
	// what was reopened.
	Since    time.Time
	Hash     []byte
	Attempts int
	Crashes  int
	Reason   string
	Letter   string
	Note     string
	// History is never written to: copies of the row share it.
	History []dedupe.Attempt
	// Spare is how many bytes are kept free in the value for what its next revision grows by. It
	// is in no other.
	Spare int
}

// keyEntry is what is known of a key: the last revision of its subject, and the row in it unless
// it is absent.
type keyEntry struct {
	revision uint64
	stored   time.Time
	row      *keyRow
	// err is why the value cannot be read.
	err error
}

// asOf forgets the row if it is over at the time now. The revision stays: whoever writes next
// has to name it.
func (e keyEntry) asOf(now time.Time) keyEntry {
	if e.row != nil && !now.Before(e.stored.Add(e.row.TTL)) {
		e.row = nil
	}
	return e
}

// timeLeft is how much of the row's span is left, at least 0. What is uncertain about the time is
// added to leases; what is due may be a little early.
func (e keyEntry) timeLeft(now serverclock.Instant) time.Duration {
	at := now.Earliest()
	if e.row.Phase == dedupe.PhaseFree {
		at = now.Latest()
	}
	return max(0, e.stored.Add(e.row.Span).Sub(at))
}

func (e keyEntry) claimedSince() time.Time {
	if e.row.Since.IsZero() {
		return e.stored
	}
	return e.row.Since
}

func (e keyEntry) claimToken() uint64 {
	return cmp.Or(e.row.Token, e.revision)
}

// ownedBy reports whether the row is the claim under this nonce, settled or not.
func (e keyEntry) ownedBy(nonce string) bool {
	return e.row != nil && e.row.Owner == nonce && nonce != ""
}

// isReopened reports whether the row was reopened, and nobody has claimed it since: its age is
// still to begin.
func (e keyEntry) isReopened() bool { return e.row.Phase == dedupe.PhaseFree && e.row.Since.IsZero() }

// nextRow is a copy to be written over the entry, by the same owner.
func (e keyEntry) nextRow() *keyRow {
	r := *e.row
	r.Token, r.Spare = e.claimToken(), 0
	if !e.isReopened() {
		r.Since = e.claimedSince()
	}
	return &r
}

// renewedRow is nextRow with another span and TTL.
func (e keyEntry) renewedRow(span, ttl time.Duration) *keyRow {
	next := e.nextRow()
	next.Span, next.TTL = span, ttl
	return next
}

func (e keyEntry) toRecord(now serverclock.Instant) dedupe.Record {
	e = e.asOf(now.Earliest())
	if e.row == nil {
		return dedupe.Record{}
	}
	return dedupe.Record{Hash: e.row.Hash, State: e.row.Phase.Seen(e.timeLeft(now))}
}
