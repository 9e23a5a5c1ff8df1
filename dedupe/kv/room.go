package kv

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/dedupe"
)

// A bucket that is bounded keeps a part of itself free: new keys are let in up to a bound of the
// store's own, so that what is held can always be renewed and settled. The server counts a
// rewritten row twice for a moment, and refuses it at its bound.
const (
	// reservedPart is the part of the bucket that is kept free for rows that are rewritten:
	// one in so many.
	reservedPart = 8
	// leastReserved is the least that is kept free in bytes, in a bucket of twice as much.
	leastReserved = 64 << 10
	// spareBytes are kept free within each new claim, for what it grows by: token, first
	// claim, counts.
	spareBytes = 128
	// overhead is what a message takes besides subject and data.
	overhead = 160
)

// bounds of the bucket's stream. Zero: none.
type bounds struct{ bytes, msgs int64 }

func (b bounds) any() bool { return b.bytes > 0 || b.msgs > 0 }

// admission is how much of the bucket new keys may take.
func (b bounds) admission() bounds {
	return bounds{
		bytes: b.bytes - max(b.bytes/reservedPart, min(b.bytes/2, leastReserved)),
		msgs:  b.msgs - max(b.msgs/reservedPart, 1),
	}
}

// room is what is left for new keys, as last asked. A nil room has no end.
type room struct {
	store *Store
	used  bounds
}

// room asks the leader how full the bucket is; nil where it has no bound.
func (s *Store) room(ctx context.Context) (*room, error) {
	if !s.bounds.any() {
		return nil, nil //nolint:nilnil // there is room for all
	}
	answers, err := s.x.do(ctx, 1, func(int) *nats.Msg { return &nats.Msg{Subject: s.clock.subject} })
	if err != nil {
		return nil, err
	}
	if err := status(answers[0]); err != nil {
		return nil, err
	}
	var info struct {
		Error *apiError `json:"error"`
		State struct {
			Messages int64 `json:"messages"`
			Bytes    int64 `json:"bytes"`
		} `json:"state"`
	}
	if err := json.Unmarshal(answers[0].Data, &info); err != nil {
		return nil, fmt.Errorf("unreadable stream info: %w", err)
	}
	if info.Error != nil {
		return nil, info.Error.judge()
	}
	return &room{store: s, used: bounds{bytes: info.State.Bytes, msgs: info.State.Messages}}, nil
}

// take makes room for one more key, or returns an error that wraps dedupe.ErrFull.
func (r *room) take(key string, data int) error {
	if r == nil {
		return nil
	}
	b, most := r.store.bounds, r.store.bounds.admission()
	size := int64(len(r.store.kept) + len(key) + data + overhead)
	switch {
	case b.msgs > 0 && r.used.msgs >= most.msgs:
		return fmt.Errorf("%w: the bucket %q has %d keys of %d, and the rest is kept for rows that are rewritten: raise max-msgs of its stream",
			dedupe.ErrFull, r.store.bucket, r.used.msgs, b.msgs)
	case b.bytes > 0 && r.used.bytes+size > most.bytes:
		return fmt.Errorf("%w: the bucket %q has %d bytes of %d, and the rest is kept for rows that are rewritten: raise max-bytes of its stream",
			dedupe.ErrFull, r.store.bucket, r.used.bytes, b.bytes)
	}
	r.used.msgs++
	r.used.bytes += size
	return nil
}

// admit lets in the new keys, and the long reasons, that there is room for.
func (s *Store) admit(ctx context.Context, turns []*turn) error {
	if !s.bounds.any() {
		return nil
	}
	var growing []*turn
	for _, t := range turns {
		if t.next != nil && t.grows() {
			growing = append(growing, t)
		}
	}
	if len(growing) == 0 {
		return nil
	}
	r, err := s.room(ctx)
	if err != nil {
		return err
	}
	for _, t := range growing {
		if c, ok := t.change.(*settling); !ok {
			t.enter(r)
		} else if r.take(t.key, len(t.next.Reason)) != nil && c.tighten() {
			t.next.Reason = dedupe.TrimReason(t.next.Reason, shortReason)
		}
	}
	return nil
}

// grows reports whether a turn takes room that it had not before.
func (t *turn) grows() bool {
	switch c := t.change.(type) {
	case *claiming:
		return t.entry.revision == 0
	case *settling:
		return c.settlement.Outcome == dedupe.GivenUp && t.next.Phase == dedupe.PhaseDeadLettering
	}
	return false
}

// enter lets a new key in, if there is room. What is claimed without having been read is read first
// where there is none: most likely it is kept already.
func (t *turn) enter(r *room) {
	t.next.Spare = spareBytes
	err := r.take(t.key, len(t.next.encode()))
	switch {
	case err == nil:
	case t.guess:
		t.next, t.known = nil, false
	default:
		t.next, t.over = nil, true
		t.change.failed(err)
	}
}
