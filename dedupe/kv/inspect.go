package kv

import (
	"context"
	"fmt"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/serverclock"
)

// Inspect implements dedupe.Inspector: one round trip to the stream's leader.
func (s *Store) Inspect(ctx context.Context, keys []dedupe.Key) ([]dedupe.Entry, error) {
	ctx, cancel, err := s.beginCall(ctx)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	defer cancel()
	now, err := s.clock.now(ctx)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = eventKey(k)
	}
	kept, err := s.readEntries(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	entries := make([]dedupe.Entry, len(keys))
	for i, e := range kept {
		entries[i] = e.asOf(now.Earliest()).toEntry(now)
	}
	return entries, nil
}

// toEntry is of a row that is not over.
func (e keyEntry) toEntry(now serverclock.Instant) dedupe.Entry {
	r := e.row
	if r == nil {
		return dedupe.Entry{Err: e.err}
	}
	entry := dedupe.Entry{
		Phase: r.Phase, Owner: r.Owner, Token: e.claimToken(), ExpiresIn: e.stored.Add(r.TTL).Sub(now.Earliest()),
		Hash: r.Hash, Attempts: r.Attempts, Crashes: r.Crashes, History: r.History, Note: r.Note,
	}
	if r.Phase.Leased() || r.Phase == dedupe.PhaseFree {
		entry.HeldFor = e.timeLeft(now)
	}
	if r.Owner != "" {
		entry.Age = max(0, now.Time.Sub(e.claimedSince()))
	}
	if r.Phase == dedupe.PhaseDeadLettering {
		entry.Reason, entry.Letter = r.Reason, r.Letter
	}
	return entry
}
