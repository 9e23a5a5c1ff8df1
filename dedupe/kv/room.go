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

// shortReason is what is kept of a reason in a bucket that is full. The dead letter has all of it,
// unless another process stores it.
const shortReason = 64

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

// takeBytes reports whether a row may grow by so many bytes.
func (r *freeRoom) takeBytes(n int) bool {
	b, most := r.store.bounds, r.store.bounds.admissionBounds()
	if b.bytes > 0 && r.used.bytes+int64(n) > most.bytes {
		return false
	}
	r.used.bytes += int64(n)
	return true
}

// admitOps lets in the new keys, the long reasons and the attempts that there is room for.
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
		if _, ok := t.change.(*claimChange); ok {
			t.admitKey(r)
		} else if !r.takeBytes(len(t.next.encodeRow())) {
			t.keepShort()
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
		return t.next.Phase == dedupe.PhaseDeadLettering || c.settlement.Attempt != nil && t.next.Phase == dedupe.PhaseFree
	}
	return false
}

// keepShort is called where there is no room for the row that the operation writes. It reports
// whether there was something to be left out.
func (t *casOp) keepShort() bool {
	if t.isShort {
		return false
	}
	t.isShort = t.next.shorten()
	return t.isShort
}

// shorten leaves out the history, and most of the reason.
func (r *keyRow) shorten() bool {
	isLong := len(r.History) > 0 || len(r.Reason) > shortReason
	r.History, r.Reason = nil, dedupe.TrimReason(r.Reason, shortReason)
	return isLong
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
