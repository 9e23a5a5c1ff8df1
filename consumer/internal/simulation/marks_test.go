package simulation

import (
	"context"
	"strings"

	"github.com/onceish/onceish/consumer/internal/seenmark"
	"github.com/onceish/onceish/dedupe"
)

// marker is the consumer's own way to make do with a store that only marks, one for each process.
type marker struct {
	*seenmark.Claimer // of nobody: it renews what any process has

	store   dedupe.Store
	of      map[string]*seenmark.Claimer // by process
	forgets bool                         // a mutation's: what was refused
}

func newMarker(store dedupe.Store, forgets bool) *marker {
	return &marker{Claimer: seenmark.New(store), store: store, of: make(map[string]*seenmark.Claimer), forgets: forgets}
}

// process is the Claimer of the process that a nonce is from.
func (m *marker) process(nonce string) *seenmark.Claimer {
	id, _, _ := strings.Cut(nonce, ":")
	c := m.of[id]
	if c == nil || m.forgets {
		c = seenmark.New(m.store)
		m.of[id] = c
	}
	return c
}

// Claim implements dedupe.Claimer.
func (m *marker) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	return m.process(rs[0].Nonce).Claim(ctx, rs)
}

// Settle implements dedupe.Claimer.
func (m *marker) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	return m.process(ss[0].Claim.Nonce).Settle(ctx, ss)
}
