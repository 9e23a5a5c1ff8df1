package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/backoff"
	"github.com/onceish/onceish/internal/serverclock"
)

// maxTries bounds how often a call reads a key again that others keep changing.
const maxTries = 10

// keyChange is what a call wants of one key.
type keyChange interface {
	// decideRow is told what is kept. It returns what to keep instead, or nil when nothing is to be
	// written; its answer stands then, unless what it was told turns out to be a guess.
	decideRow(e keyEntry, now serverclock.Instant) *keyRow
	// onKept: what decideRow returned is what is kept now.
	onKept(e keyEntry)
	// onFailed: it was not done, and others of the call may be. err wraps dedupe.ErrKeyRefused
	// when it never can be, dedupe.ErrFull when there is no room, ErrContended when the tries
	// were used up.
	onFailed(err error)
}

// casOp is the compare-and-set of one key: a change and what is known of the key.
type casOp struct {
	key    string
	change keyChange
	entry  keyEntry
	// isKnown: entry is what to decide by. guess: it was not read.
	isKnown, isGuess bool
	isOver           bool
	isShort          bool // the bucket is full: next is kept without what it can do without
	next             *keyRow
}

func (s *Store) runOps(ctx context.Context, call string, turns []casOp) error {
	ctx, cancel, err := s.beginCall(ctx)
	if err == nil {
		defer cancel()
		err = s.casLoop(ctx, turns)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", call, err)
	}
	return nil
}

// casLoop carries out every change: it reads what is not known, decides, and writes on the
// condition that the revision is the one that was decided on. An operation that finds another
// revision starts over, so it takes into account whatever else happened meanwhile, also a write of
// its own that was taken for lost.
func (s *Store) casLoop(ctx context.Context, turns []casOp) error {
	rest := make([]*casOp, len(turns))
	for i := range turns {
		rest[i] = &turns[i]
	}
	for try := range maxTries {
		if err := pauseBeforeTry(ctx, try); err != nil {
			return err
		}
		if err := s.readUnknown(ctx, rest); err != nil {
			return err
		}
		now, err := s.clock.now(ctx)
		if err != nil {
			return err
		}
		if err := s.decideAndWrite(ctx, rest, now); err != nil {
			return err
		}
		rest = slices.DeleteFunc(rest, func(t *casOp) bool { return t.isOver })
		if len(rest) == 0 {
			return nil
		}
	}
	for _, t := range rest {
		t.change.onFailed(fmt.Errorf("%w: %s in bucket %q, after %d tries", ErrContended, t.key, s.bucket, maxTries))
	}
	return nil
}

func (s *Store) readUnknown(ctx context.Context, turns []*casOp) error {
	var unknown []*casOp
	var keys []string
	for _, t := range turns {
		if !t.isKnown {
			unknown, keys = append(unknown, t), append(keys, t.key)
		}
	}
	entries, err := s.readEntries(ctx, keys)
	if err != nil {
		return err
	}
	for i, t := range unknown {
		t.entry, t.isKnown, t.isGuess = entries[i], true, false
	}
	return nil
}

func (s *Store) decideAndWrite(ctx context.Context, turns []*casOp, now serverclock.Instant) error {
	for _, t := range turns {
		if t.next = t.change.decideRow(t.entry, now); t.next == nil {
			t.isKnown, t.isOver = !t.isGuess, !t.isGuess
		} else if t.isShort {
			t.next.shorten()
		}
	}
	if err := s.admitOps(ctx, turns); err != nil {
		return err
	}
	writing := make([]*casOp, 0, len(turns))
	ws := make([]keyWrite, 0, len(turns))
	for _, t := range turns {
		if t.next != nil {
			t.next.fitHistory(s.maxMessage() - headerRoom)
			writing = append(writing, t)
			ws = append(ws, t.next.toWrite(t.key, expectRevision(t.entry.revision)))
		}
	}
	outcomes, err := s.writeAll(ctx, ws)
	if err != nil {
		return err
	}
	for i, t := range writing {
		switch o := outcomes[i]; {
		case o.err == nil:
			t.isOver = true
			t.change.onKept(keyEntry{revision: o.revision, stored: now.Time, row: t.next})
		case errors.Is(o.err, errConflict):
			t.isKnown = false
		case errors.Is(o.err, dedupe.ErrFull) && t.keepShort():
		default:
			t.isOver = true
			t.change.onFailed(fmt.Errorf("key %s: %w", t.key, o.err))
		}
	}
	return nil
}

// pauseBeforeTry waits before the third try and later ones, longer each time, at random: those who
// contend drift apart. A cluster refuses writes to a subject that has one in progress, and reads do
// not show it until it is stored.
func pauseBeforeTry(ctx context.Context, try int) error {
	if try < 2 {
		return nil
	}
	most := time.Millisecond << min(try-2, 6)
	return backoff.Sleep(ctx, most/2+rand.N(most/2)) //nolint:gosec // spreads load, guards nothing
}
