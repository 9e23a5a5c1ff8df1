package kv

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onceish/onceish/dedupe"
)

// Seen implements dedupe.Store: one round trip to the stream's leader. A value that the store did
// not write counts as fresh, for the next Mark replaces it.
func (s *Store) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	ctx, cancel, err := s.beginCall(ctx)
	if err != nil {
		return nil, fmt.Errorf("seen: %w", err)
	}
	defer cancel()
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = eventKey(k)
	}
	now, err := s.clock.now(ctx)
	if err != nil {
		return nil, fmt.Errorf("seen: %w", err)
	}
	entries, err := s.readEntries(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("seen: %w", err)
	}
	var left *freeRoom
	if slices.ContainsFunc(entries, func(e keyEntry) bool { return e.revision == 0 }) {
		if left, err = s.readFreeRoom(ctx); err != nil {
			return nil, fmt.Errorf("seen: %w", err)
		}
	}
	records := make([]dedupe.Record, len(keys))
	for i, e := range entries {
		if errors.Is(e.err, errNewer) {
			records[i] = dedupe.Record{State: dedupe.Held, Err: e.err}
			continue
		}
		if records[i] = e.toRecord(now); e.revision == 0 {
			records[i].Err = left.takeRoom(names[i], markSize)
		}
	}
	return records, nil
}

// markSize is about what the value of a mark takes.
const markSize = 100

// Mark implements dedupe.Store: one round trip.
func (s *Store) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	ctx, cancel, err := s.beginCall(ctx)
	if err != nil {
		return nil, fmt.Errorf("mark: %w", err)
	}
	defer cancel()
	errs := make([]error, len(marks))
	ws := make([]keyWrite, 0, len(marks))
	of := make([]int, 0, len(marks))
	for i, m := range marks {
		if errs[i] = dedupe.CheckHash(m.Hash); errs[i] != nil {
			continue
		}
		r := keyRow{Phase: dedupe.PhaseDone, TTL: m.TTL, Hash: m.Hash}
		if m.State == dedupe.Dead {
			r.Phase = dedupe.PhaseDead
		}
		ws, of = append(ws, r.toWrite(eventKey(m.Key), "")), append(of, i)
	}
	outcomes, err := s.writeAll(ctx, ws)
	if err != nil {
		return nil, fmt.Errorf("mark: %w", err)
	}
	for i, o := range outcomes {
		errs[of[i]] = o.err
	}
	return errs, nil
}
