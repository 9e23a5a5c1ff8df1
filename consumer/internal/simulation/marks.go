package simulation

import (
	"bytes"
	"context"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// marker makes do with a store that only marks, as mode seen/mark does: every claim of what is not marked is won.
type marker struct {
	store  dedupe.Store
	tokens map[string]uint64 // by nonce
}

var _ dedupe.Claimer = (*marker)(nil)

// Claim implements dedupe.Claimer.
func (m *marker) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	keys := make([]dedupe.Key, len(rs))
	for i := range rs {
		keys[i] = rs[i].Key
	}
	records, err := m.store.Seen(ctx, keys)
	cs := make([]dedupe.Claim, len(records))
	for i, r := range records {
		if m.tokens[rs[i].Nonce] == 0 {
			m.tokens[rs[i].Nonce] = uint64(len(m.tokens)) + 1
		}
		cs[i] = dedupe.Claim{Key: rs[i].Key, Nonce: rs[i].Nonce, State: r.State, Token: m.tokens[rs[i].Nonce], Hash: rs[i].Hash}
		switch {
		case r.Hash != nil && rs[i].Hash != nil && !bytes.Equal(r.Hash, rs[i].Hash):
			cs[i].State = dedupe.Reused
		case r.State == dedupe.Fresh:
			cs[i].HeldFor = rs[i].Lease
		}
	}
	return cs, err
}

// Extend implements dedupe.Claimer: there is nothing to lose.
func (m *marker) Extend(_ context.Context, cs []dedupe.Claim, _, _ time.Duration) ([]bool, error) {
	return all(len(cs)), nil
}

// Settle implements dedupe.Claimer.
func (m *marker) Settle(ctx context.Context, ss []dedupe.Settlement) ([]bool, error) {
	var marks []dedupe.Mark
	for _, s := range ss {
		switch s.Outcome {
		case dedupe.Succeeded:
			marks = append(marks, dedupe.Mark{Key: s.Claim.Key, State: dedupe.Done, Hash: s.Claim.Hash, TTL: s.TTL})
		case dedupe.Buried:
			marks = append(marks, dedupe.Mark{Key: s.Claim.Key, State: dedupe.Dead, Hash: s.Claim.Hash, TTL: s.TTL})
		case dedupe.Failed, dedupe.NotBegun, dedupe.GivenUp:
		}
	}
	return all(len(ss)), m.store.Mark(ctx, marks)
}

func all(n int) []bool {
	oks := make([]bool, n)
	for i := range oks {
		oks[i] = true
	}
	return oks
}
