package mongo

import (
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/dedupe"
)

// storedRow is a document as it was read, with the server's time of the reading. Times are in
// milliseconds, as the server has them.
type storedRow struct {
	raw bson.Raw

	id, owner string
	state     string       // as it was read
	phase     dedupe.Phase // absent: the state is one of a later version

	token             int64
	lease, since      int64
	attempts, crashes int64
	hash              []byte
	reason, letter    string
	note              string
	history           bson.RawValue // decoded by readHistory where it is needed
	expire, now       int64
	session           bson.Raw // that may lock the row in a transaction
}

func newRow(raw bson.Raw) (*storedRow, error) {
	elements, err := raw.Elements()
	if err != nil {
		return nil, fmt.Errorf("a document that is no BSON: %w", err)
	}
	r := &storedRow{raw: raw}
	for _, e := range elements {
		r.setField(e.Key(), e.Value())
	}
	return r, nil
}

func (r *storedRow) setField(name string, v bson.RawValue) {
	switch name {
	case "_id":
		r.id, _ = v.StringValueOK()
	case "state":
		r.state, _ = v.StringValueOK()
		r.phase, _ = dedupe.ParsePhase(r.state)
	case "owner":
		r.owner, _ = v.StringValueOK()
	case "token":
		r.token, _ = v.AsInt64OK()
	case "lease_until":
		r.lease, _ = v.DateTimeOK()
	case "attempts":
		r.attempts, _ = v.AsInt64OK()
	case "crashes":
		r.crashes, _ = v.AsInt64OK()
	case "since":
		r.since, _ = v.DateTimeOK()
	case "hash":
		_, r.hash, _ = v.BinaryOK()
	case "reason":
		r.reason, _ = v.StringValueOK()
	case "letter":
		r.letter, _ = v.StringValueOK()
	case "note":
		r.note, _ = v.StringValueOK()
	case "history":
		r.history = v
	case "expireAt":
		r.expire, _ = v.DateTimeOK()
	case "session":
		r.session, _ = v.DocumentOK()
	case "now":
		r.now, _ = v.DateTimeOK()
	}
}

// isExpired rows count as absent, whether the TTL index has removed them yet or not.
func (r *storedRow) isExpired() bool { return r.expire != 0 && r.expire <= r.now }

// isAbsent rows are not there, or expired.
func (r *storedRow) isAbsent() bool { return r == nil || r.isExpired() }

// leasedBy reports whether the row is a claim, or a dead letter to be stored, of that owner,
// whether its lease is over or not. A nil row is absent.
func (r *storedRow) leasedBy(nonce string) bool {
	return r != nil && !r.isExpired() && nonce != "" && r.owner == nonce && r.phase.Leased()
}

// isLockable reports whether a transaction may still lock the row: it was begun under this claim,
// and nothing was written since.
func (r *storedRow) isLockable() bool { return r.phase == dedupe.PhaseClaimed && len(r.session) > 0 }

// timeLeft is what is left of the lease, or until a free row is due.
func (r *storedRow) timeLeft() time.Duration { return max(0, fromMillis(r.lease-r.now)) }

func (r *storedRow) claimAge() time.Duration {
	if r.since == 0 {
		return 0
	}
	return max(0, fromMillis(r.now-r.since))
}

// isKnown reports whether the row is in a state that this version can judge.
func (r *storedRow) isKnown() bool { return r.phase != dedupe.PhaseAbsent }

// unknownState is what is said of a row that this version cannot judge.
func (r *storedRow) unknownState() error {
	return fmt.Errorf("the row %s has the state %q, which this version does not know: it is left to the version that wrote it; if there is none, delete it",
		r.id, r.state)
}

// unchangedFilter is a filter that matches the row only as it was read: whatever changes it changes
// one of these.
func (r *storedRow) unchangedFilter() bson.D {
	d := bson.D{{Key: "_id", Value: r.id}}
	for _, name := range []string{"owner", "state", "token", "lease_until", "expireAt"} {
		v, err := r.raw.LookupErr(name)
		if err != nil {
			d = append(d, bson.E{Key: name, Value: nil}) // matches what is absent
			continue
		}
		d = append(d, bson.E{Key: name, Value: v})
	}
	return d
}

func (r *storedRow) toRecord() dedupe.Record {
	if r.isExpired() {
		return dedupe.Record{}
	}
	if !r.isKnown() {
		return dedupe.Record{State: dedupe.Held, Err: r.unknownState()}
	}
	state := r.phase.Seen(r.timeLeft())
	if state == dedupe.Fresh {
		return dedupe.Record{}
	}
	return dedupe.Record{State: state, Hash: r.hash}
}

func (r *storedRow) toClaim(q *dedupe.Request, s dedupe.State) dedupe.Claim {
	return dedupe.Claim{
		Key: q.Key, State: s, Nonce: q.Nonce, Token: uint64(max(0, r.token)), HeldFor: r.timeLeft(), Age: r.claimAge(), Hash: r.hash,
		Attempts: int(r.attempts), Crashes: int(r.crashes), Note: r.note,
	}
}

func fromMillis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
