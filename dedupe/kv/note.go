package kv

import (
	"context"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/serverclock"
)

// Note implements dedupe.Noter, at the cost of Settle.
func (s *Store) Note(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) ([]error, error) {
	changes := make([]noteChange, len(ns))
	return s.changeClaims(ctx, "note", len(ns), func(i int) (keyChange, *ownedClaim) {
		changes[i] = noteChange{
			extendChange: extendChange{ownedClaim: ownedClaim{store: s, claim: &ns[i].Claim}, lease: lease, ttl: ttl}, text: ns[i].Text,
		}
		return &changes[i], &changes[i].ownedClaim
	})
}

type noteChange struct {
	extendChange

	text string
}

func (c *noteChange) decideRow(e keyEntry, now serverclock.Instant) *keyRow {
	if err := dedupe.CheckNote(c.text); err != nil {
		*c.err = err
		return nil
	}
	next := c.extendChange.decideRow(e, now)
	if next != nil {
		next.Note = c.text
	}
	return next
}
