package flow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

const (
	// chunkTime is what a reservation is for: the starts of a process in this time. What is left
	// of it later is dropped, never returned.
	chunkTime = 50 * time.Millisecond
	// maxConflicts is how often a reservation is tried while others write the row in between.
	maxConflicts = 10
	// conflictWait is how long a key waits that lost all of them.
	conflictWait = 10 * time.Millisecond
	// maxPlainKey bounds the bytes of a key that is stored as it is; a longer one is hashed.
	maxPlainKey = 256
)

// What follows the name of a limit, and a slash, in the key of a row.
const (
	plainPart    = "key/"
	hashPart     = "sha256/"
	overflowPart = "overflow"
)

// storeKeyFor is the name and the key. Keys that share the overflow have one row.
func storeKeyFor(name, key string, own bool) string {
	head := name + "/"
	switch {
	case !own:
		return head + overflowPart
	case len(key) > maxPlainKey:
		sum := sha256.Sum256([]byte(key))
		return head + hashPart + hex.EncodeToString(sum[:])
	}
	return head + plainPart + key
}

// chunk is how many starts are reserved at once: those of 50 ms of this process's share, at least
// n.
func (s *Shared) chunk(n int) int {
	members := max(1, s.options.Members())
	share := float64(s.rate.Limit) * float64(chunkTime) / float64(s.rate.Per) / float64(members)
	return min(s.rate.capacity(), max(n, int(share)))
}

// reservation is what one exchange with the store is for, and came to.
type reservation struct {
	least, most int
	// force has the store asked whatever is remembered of it.
	force bool
	// asked reports whether it was.
	asked bool
	// granted starts may begin until a local time.
	granted int
	until   int64
	// wait is how long it takes until most are free, if least were not.
	wait time.Duration
	// closedUntil is when the key opens, in local time.
	closedUntil int64
}

// reserve asks the store for starts of a key. It gives the lock up meanwhile. It goes on when the
// caller's ctx ends, for others wait for it too; but not for longer than the time-out.
func (s *Shared) reserve(ctx context.Context, k *sharedKey, n int) {
	answered := make(chan struct{})
	k.answered = answered
	r := reservation{least: n, most: s.chunk(n), force: s.outage.down}
	s.stats.Reservations++
	row := k.row
	s.mu.Unlock()
	row, err := s.exchange(ctx, k.storeKey, row, r.takeFrom(s))
	s.mu.Lock()
	k.answered = nil
	close(answered)
	now := s.clock.now()
	contended := errors.Is(err, ErrConflict)
	if err != nil && !contended {
		s.recordFailure(err, now)
		return
	}
	if r.asked {
		s.recordSuccess(now)
	}
	k.row = row
	k.share.closeUntil(r.closedUntil)
	switch {
	case contended:
		k.refused, k.refusedUntil = n, now+int64(conflictWait)
	case r.granted > 0:
		k.reserved, k.reservedUntil = r.granted, min(r.until, now+int64(chunkTime))
		k.refusedUntil = 0
	default:
		k.refused, k.refusedUntil = n, now+int64(r.wait)
	}
}

// takeFrom takes starts from a state. What is refused changes nothing, and needs no write.
func (r *reservation) takeFrom(s *Shared) rowChange {
	return func(state *limitState, at serverTime) (changed bool) {
		local := s.clock.now()
		lifetime := int64(max(s.options.Timeout, chunkTime)) // the answer is in by then, or is none
		r.until = local + lifetime
		r.granted, r.wait = state.takeStarts(&s.rate, at.earliest, at.latest+lifetime, r.least, r.most)
		if r.granted == 0 {
			r.wait = max(r.wait, state.waitFor(&s.rate, at.earliest, r.most))
		}
		if state.closed > at.earliest {
			r.closedUntil = local + state.closed - at.earliest
		}
		r.asked = r.granted > 0 || r.force
		return r.asked
	}
}

// serverTime encloses the time of the server.
type serverTime struct{ earliest, latest int64 }

// rowChange changes a state, and reports whether it is to be written.
type rowChange func(state *limitState, at serverTime) (changed bool)

// exchange changes the row of a key, of which row is what was last seen, and returns the row as it
// is now. What is remembered only ever has fewer starts than what is stored, so a refusal by it
// holds without a call. ErrConflict: others kept writing.
func (s *Shared) exchange(ctx context.Context, key string, row Row, change rowChange) (Row, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.Timeout)
	defer cancel()
	var err error
	for range maxConflicts {
		now, doubt, failed := s.store.Now(ctx)
		if failed != nil {
			return row, errors.Join(err, failed)
		}
		at := serverTime{now.Add(-doubt).UnixNano(), now.Add(doubt).UnixNano()}
		state, repaired := s.readRow(key, row, at.earliest)
		if changed := change(&state, at); !changed && !repaired {
			return row, nil
		}
		ttl := max(0, time.Duration(state.freshAt(&s.rate)-at.earliest)) + ttlMargin
		var next Row
		next, failed = s.store.Swap(ctx, key, row.Revision, encodeRow(&s.rate, &state), ttl)
		switch {
		case failed == nil:
			return next, nil
		case !errors.Is(failed, ErrConflict):
			return row, errors.Join(err, failed) // after a conflict the store is slow, and not gone
		}
		row, err = next, ErrConflict
	}
	return row, err
}

// ttlMargin is how long a row is kept that is that of a new key.
const ttlMargin = time.Minute

// readRow is the state in a row, converted to the rate. A malformed one is that of a key for which
// everything has just started, so no fault makes a burst.
func (s *Shared) readRow(key string, row Row, now int64) (state limitState, repaired bool) {
	if row.Revision == 0 {
		return newState(&s.rate, now), false
	}
	rate, state, err := decodeRow(row.Data, now)
	if err != nil {
		s.mu.Lock()
		s.stats.Repaired++
		s.mu.Unlock()
		s.log.Warn("row of a shared limit is repaired; its key starts with nothing left", "key", key, "error", err)
		return exhaustedState(&s.rate, now), true
	}
	state.convertRate(&rate, &s.rate, now)
	return state, false
}

// CloseFor implements KeyCloser. Every process learns of it with its next reservation. After an
// error the key is closed for this process only. A key beyond MaxKeys closes all that share its
// limit. It blocks for the time-out at most.
func (s *Shared) CloseFor(ctx context.Context, key string, d time.Duration) error {
	d = min(d, maxPer)
	if d <= 0 {
		return nil
	}
	s.mu.Lock()
	k := s.find(key, s.clock.now())
	k.share.closeUntil(s.clock.now() + int64(d))
	k.reserved = 0
	row := k.row
	s.mu.Unlock()
	row, err := s.exchange(ctx, k.storeKey, row, func(state *limitState, at serverTime) bool {
		closed := at.latest + int64(d)
		if state.closed >= closed {
			return false
		}
		state.advance(&s.rate, at.earliest)
		state.closeUntil(closed)
		return true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		k.row = row
	}
	return err
}
