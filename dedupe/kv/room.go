package kv

import (
	"context"
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

// bucketBounds of the bucket's stream. Zero: none.
type bucketBounds struct{ bytes, msgs int64 }

func (b bucketBounds) isBounded() bool { return b.bytes > 0 || b.msgs > 0 }

// admissionBounds is how much of the bucket new keys may take.
func (b bucketBounds) admissionBounds() bucketBounds {
	return bucketBounds{
		bytes: b.bytes - max(b.bytes/reservedPart, min(b.bytes/2, leastReserved)),
		msgs:  b.msgs - max(b.msgs/reservedPart, 1),
	}
}

// Bounds implements dedupe.Bounder. They are those that the bucket had when it was opened.
func (s *Store) Bounds() dedupe.Bounds {
	most := s.bounds.admissionBounds()
	return dedupe.Bounds{Keys: max(0, most.msgs), Bytes: max(0, most.bytes)}
}

// freeRoom is what is left for new keys, as last read. A nil one is unbounded.
type freeRoom struct {
	store *Store
	used  bucketBounds
}

// readFreeRoom asks the leader how full the bucket is; nil where it has no bound.
func (s *Store) readFreeRoom(ctx context.Context) (*freeRoom, error) {
	if !s.bounds.isBounded() {
		return nil, nil //nolint:nilnil // there is room for all
	}
	var info struct {
		apiAnswer

		State struct {
			Messages int64 `json:"messages"`
			Bytes    int64 `json:"bytes"`
		} `json:"state"`
	}
	if err := requestOne(ctx, s.requests, &nats.Msg{Subject: s.clock.subject}, "stream info", &info); err != nil {
		return nil, err
	}
	return &freeRoom{store: s, used: bucketBounds{bytes: info.State.Bytes, msgs: info.State.Messages}}, nil
}

// takeRoom makes room for one more key, or returns an error that wraps dedupe.ErrFull.
func (r *freeRoom) takeRoom(key string, data int) error {
	if r == nil {
		return nil
	}
	b, most := r.store.bounds, r.store.bounds.admissionBounds()
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

// admitOps lets in the new keys, and the long reasons, that there is room for.
func (s *Store) admitOps(ctx context.Context, turns []*casOp) error {
	if !s.bounds.isBounded() {
		return nil
	}
	var growing []*casOp
	for _, t := range turns {
		if t.next != nil && t.needsRoom() {
			growing = append(growing, t)
		}
	}
	if len(growing) == 0 {
		return nil
	}
	r, err := s.readFreeRoom(ctx)
	if err != nil {
		return err
	}
	for _, t := range growing {
		if c, ok := t.change.(*settleChange); !ok {
			t.admitKey(r)
		} else if r.takeRoom(t.key, len(t.next.Reason)) != nil && c.shortenReason() {
			t.next.Reason = dedupe.TrimReason(t.next.Reason, shortReason)
		}
	}
	return nil
}

// needsRoom reports whether an operation takes room that its key did not have before.
func (t *casOp) needsRoom() bool {
	switch c := t.change.(type) {
	case *claimChange:
		return t.entry.revision == 0
	case *settleChange:
		return c.settlement.Outcome == dedupe.GivenUp && t.next.Phase == dedupe.PhaseDeadLettering
	}
	return false
}

// shortenReason is asked once there is no room for what decideRow returned: true, if it will return
// less.
func (t *casOp) shortenReason() bool {
	c, ok := t.change.(*settleChange)
	return ok && c.shortenReason()
}

// admitKey lets a new key in, if there is room. What is claimed without having been read is read
// first where there is none: most likely it is kept already.
func (t *casOp) admitKey(r *freeRoom) {
	t.next.Spare = spareBytes
	err := r.takeRoom(t.key, len(t.next.encodeRow()))
	switch {
	case err == nil:
	case t.isGuess:
		t.next, t.isKnown = nil, false
	default:
		t.next, t.isOver = nil, true
		t.change.onFailed(err)
	}
}
