package simulation

import (
	"context"

	"github.com/onceish/onceish/consumer/internal/seenmark"
	"github.com/onceish/onceish/dedupe"
)

// marker is the consumer's own way to make do with a store that only marks. Its claims are given tokens, which that mode has not, so
// that the ledger can tell them apart.
type marker struct {
	*seenmark.Claimer
	tokens map[string]uint64 // by nonce
}

func newMarker(store dedupe.Store) *marker {
	return &marker{Claimer: seenmark.New(store), tokens: make(map[string]uint64)}
}

// Claim implements dedupe.Claimer.
func (m *marker) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	cs, err := m.Claimer.Claim(ctx, rs)
	for i := range cs {
		if m.tokens[cs[i].Nonce] == 0 {
			m.tokens[cs[i].Nonce] = uint64(len(m.tokens)) + 1
		}
		cs[i].Token = m.tokens[cs[i].Nonce]
	}
	return cs, err
}
