package consumer

import (
	"bytes"
	"context"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// seenMark lets a minimal store serve where a dedupe.Claimer is asked for: a claim is a question, only what is final is written, and
// nothing is ever lost to another owner.
type seenMark struct{ store dedupe.Store }

var _ dedupe.Claimer = seenMark{}

// Claim asks what was seen.
func (s seenMark) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	keys := make([]dedupe.Key, len(rs))
	for i := range rs {
		keys[i] = rs[i].Key
	}
	records, err := s.store.Seen(ctx, keys)
	if err != nil {
		return nil, err
	}
	if err := parallel("Seen", len(records), len(rs)); err != nil {
		return nil, err
	}
	cs := make([]dedupe.Claim, len(rs))
	for i, r := range rs {
		cs[i] = dedupe.Claim{Key: r.Key, Nonce: r.Nonce, State: dedupe.Fresh, Hash: r.Hash, HeldFor: r.Lease}
		switch state := records[i].State; {
		case state != dedupe.Fresh && differ(records[i].Hash, r.Hash):
			cs[i].State = dedupe.Reused
		case state == dedupe.Done || state == dedupe.Dead:
			cs[i].State = state
		} // what another mode has claimed may run twice: that is what this mode says
	}
	return cs, nil
}

// Extend has nothing to extend.
func (s seenMark) Extend(_ context.Context, cs []dedupe.Claim, _, _ time.Duration) ([]bool, error) {
	return all(len(cs)), nil
}

// Settle marks what is done or dead.
func (s seenMark) Settle(ctx context.Context, ss []dedupe.Settlement) ([]bool, error) {
	var marks []dedupe.Mark
	for i := range ss {
		m := dedupe.Mark{Key: ss[i].Claim.Key, Hash: ss[i].Claim.Hash, TTL: ss[i].TTL}
		switch ss[i].Outcome {
		case dedupe.Succeeded:
			m.State = dedupe.Done
		case dedupe.Buried:
			m.State = dedupe.Dead
		case dedupe.Failed, dedupe.NotBegun, dedupe.GivenUp:
			continue
		}
		marks = append(marks, m)
	}
	if len(marks) == 0 {
		return all(len(ss)), nil
	}
	if err := s.store.Mark(ctx, marks); err != nil {
		return nil, err
	}
	return all(len(ss)), nil
}

func all(n int) []bool {
	oks := make([]bool, n)
	for i := range oks {
		oks[i] = true
	}
	return oks
}

func differ(a, b []byte) bool { return a != nil && b != nil && !bytes.Equal(a, b) }
