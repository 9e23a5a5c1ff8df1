package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/backoff"
	"github.com/onceish/onceish/internal/serverclock"
)

// maxTries bounds how often a call looks at a key again that others keep changing.
const maxTries = 10

// change is what a call wants of one key.
type change interface {
	// decide is told what is kept. It returns what to keep instead, or nil when nothing is to be
	// written; its answer stands then, unless what it was told turns out to be a guess.
	decide(e entry, now serverclock.Instant) *row
	// kept: what decide returned is what is kept now.
	kept(e entry)
	// tighten is asked once there is no room for what decide returned: true, if it
	// will return less.
	tighten() bool
	// failed: it was not done, and others of the call may be. err wraps dedupe.ErrKeyRefused
	// when it never can be, dedupe.ErrFull when there is no room, ErrContended when the tries
	// were used up.
	failed(err error)
}

// turn is a change on its way.
type turn struct {
	key    string
	change change
	entry  entry
	// known: entry is what to decide by. guess: it was not read.
	known, guess bool
	over         bool
	next         *row
}

// converge brings every change to its end: read what is not known, decide, write under the revision
// that was decided on. Who finds another revision starts over, so whatever else happens meanwhile,
// also a write of our own that we took for lost, is looked at and judged.
func (s *Store) converge(ctx context.Context, turns []turn) error {
	rest := make([]*turn, len(turns))
	for i := range turns {
		rest[i] = &turns[i]
	}
	for try := range maxTries {
		if err := pause(ctx, try); err != nil {
			return err
		}
		if err := s.learn(ctx, rest); err != nil {
			return err
		}
		now, err := s.clock.now(ctx)
		if err != nil {
			return err
		}
		if err := s.apply(ctx, rest, now); err != nil {
			return err
		}
		if rest = unfinished(rest); len(rest) == 0 {
			return nil
		}
	}
	for _, t := range rest {
		t.change.failed(fmt.Errorf("%w: %s in bucket %q, after %d tries", ErrContended, t.key, s.bucket, maxTries))
	}
	return nil
}

// learn reads the entries that are not known.
func (s *Store) learn(ctx context.Context, turns []*turn) error {
	var unknown []*turn
	var keys []string
	for _, t := range turns {
		if !t.known {
			unknown, keys = append(unknown, t), append(keys, t.key)
		}
	}
	entries, err := s.entries(ctx, keys)
	if err != nil {
		return err
	}
	for i, t := range unknown {
		t.entry, t.known, t.guess = entries[i], true, false
	}
	return nil
}

// apply lets the changes decide, and writes what they want.
func (s *Store) apply(ctx context.Context, turns []*turn, now serverclock.Instant) error {
	for _, t := range turns {
		if t.next = t.change.decide(t.entry, now); t.next != nil {
			continue
		}
		t.known, t.over = !t.guess, !t.guess
	}
	if err := s.admit(ctx, turns); err != nil {
		return err
	}
	writing := make([]*turn, 0, len(turns))
	ws := make([]write, 0, len(turns))
	for _, t := range turns {
		if t.next != nil {
			writing = append(writing, t)
			ws = append(ws, t.next.write(t.key, expect(t.entry.revision)))
		}
	}
	outcomes, err := s.writes(ctx, ws)
	if err != nil {
		return err
	}
	for i, t := range writing {
		switch o := outcomes[i]; {
		case o.err == nil:
			t.over = true
			t.change.kept(entry{revision: o.revision, stored: now.Time, row: t.next})
		case errors.Is(o.err, errConflict):
			t.known = false
		case errors.Is(o.err, dedupe.ErrFull) && t.change.tighten():
		default:
			t.over = true
			t.change.failed(fmt.Errorf("key %s: %w", t.key, o.err))
		}
	}
	return nil
}

func unfinished(turns []*turn) []*turn {
	kept := turns[:0]
	for _, t := range turns {
		if !t.over {
			kept = append(kept, t)
		}
	}
	return kept
}

// pause waits before the third try and later ones, longer each time, at random: those who contend
// drift apart. A cluster refuses writes to a subject that has one under way, and reads do not show
// it until it is stored.
func pause(ctx context.Context, try int) error {
	if try < 2 {
		return nil
	}
	most := time.Millisecond << min(try-2, 6)
	return backoff.Sleep(ctx, most/2+rand.N(most/2)) //nolint:gosec // spreads load, guards nothing
}
