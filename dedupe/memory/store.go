package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/onceish/onceish/dedupe"
)

var (
	_ dedupe.Store       = (*Store)(nil)
	_ dedupe.Claimer     = (*Store)(nil)
	_ dedupe.Noter       = (*Store)(nil)
	_ dedupe.Reopener    = (*Store)(nil)
	_ dedupe.Inspector   = (*Store)(nil)
	_ dedupe.Watermarker = (*Store)(nil)
	_ dedupe.Bounder     = (*Store)(nil)
)

// Store keeps all in memory. It is safe for concurrent use, starts no goroutine, and never
// blocks for longer than another call works. Used by one goroutine it does the same each time,
// given the same clock.
type Store struct {
	now   func() time.Time
	epoch time.Time
	max   int
	seed  maphash.Seed

	mu         sync.Mutex
	table      rowTable
	tokens     uint64 // the last one given out
	watermarks map[watermarkScope][]dedupe.Watermark
}

// New makes an empty store. Nil options are the default.
func New(o *Options) (*Store, error) {
	v, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Store{
		now: v.Now, epoch: v.Now(), max: v.MaxKeys, seed: maphash.MakeSeed(),
		table: newTable(), watermarks: make(map[watermarkScope][]dedupe.Watermark),
	}, nil
}

// Bounds implements dedupe.Bounder.
func (s *Store) Bounds() dedupe.Bounds { return dedupe.Bounds{Keys: int64(s.max)} }

// Seen implements dedupe.Store.
func (s *Store) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	if err := contextError(ctx, "seen"); err != nil {
		return nil, err
	}
	ids := keyIDsOf(keys, func(k *dedupe.Key) dedupe.Key { return *k })
	records := make([]dedupe.Record, len(keys))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.sinceEpoch()
	room := s.newFreeRoom(now)
	for i, k := range ids {
		if r, slot := s.table.findRow(k, now); r != nil {
			records[i] = dedupe.Record{State: r.phase.Seen(time.Duration(max(r.until-now, 0))), Hash: bytes.Clone(s.table.hashOf(r, slot))}
		} else if s.table.rowCount()+len(keys) > s.max {
			records[i].Err = room.reserveKey(k)
		}
	}
	return records, nil
}

// Mark implements dedupe.Store.
func (s *Store) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	if err := contextError(ctx, "mark"); err != nil {
		return nil, err
	}
	ids := keyIDsOf(marks, func(m *dedupe.Mark) dedupe.Key { return m.Key })
	errs := make([]error, len(marks))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.sinceEpoch()
	room := s.newFreeRoom(now)
	for i := range marks {
		if errs[i] = cmp.Or(dedupe.CheckHash(marks[i].Hash), room.checkFits(ids[i])); errs[i] == nil {
			s.markKey(ids[i], &marks[i], now)
		}
	}
	s.table.sweepSome(now)
	return errs, nil
}

func (s *Store) markKey(k keyID, m *dedupe.Mark, now int64) {
	since := now
	if r, _ := s.table.findRow(k, now); r != nil {
		since = r.since
	}
	r, slot := s.table.resetRow(k)
	r.since = since
	r.phase = dedupe.PhaseDone
	if m.State == dedupe.Dead {
		r.phase = dedupe.PhaseDead
	}
	s.table.setHash(r, slot, m.Hash)
	s.table.setExpiry(r, slot, timeAfter(now, m.TTL))
}

// sinceEpoch is the time since the store was made.
func (s *Store) sinceEpoch() int64 { return int64(s.now().Sub(s.epoch)) }

func (s *Store) ownerHash(nonce string) uint64 { return maphash.String(s.seed, nonce) }

// timeAfter is now + d, or the end of time.
func timeAfter(now int64, d time.Duration) int64 {
	if int64(d) > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + int64(d)
}

func contextError(ctx context.Context, call string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory store: %s: %w", call, err)
	}
	return nil
}
