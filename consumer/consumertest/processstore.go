package consumertest

import (
	"context"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// processStore is the store as a process reaches it.
type processStore struct {
	p     *process
	inner *memdedupe.Store
}

var (
	_ dedupe.Store       = (*processStore)(nil)
	_ dedupe.Claimer     = (*processStore)(nil)
	_ dedupe.Noter       = (*processStore)(nil)
	_ dedupe.Watermarker = (*processStore)(nil)
)

// reach is at a step of a key.
func (s *processStore) reach(kind stepKind, k dedupe.Key) error {
	return closedFor(s.p.reach(step{kind: kind, event: s.p.world.labelOf(k)}))
}

// Seen implements dedupe.Store. In mode SeenMark it stands for the claim.
func (s *processStore) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	isClaim := s.p.world.options.Mode == consumer.SeenMark
	for _, k := range keys {
		if !isClaim {
			break
		}
		if err := s.reach(beforeClaim, k); err != nil {
			return nil, err
		}
	}
	records, err := guardCall(s.p, dedupe.ErrClosed, func() ([]dedupe.Record, error) { return s.inner.Seen(ctx, keys) })
	for i := range records {
		if !isClaim || records[i].State != dedupe.Fresh {
			continue
		}
		if err := s.reach(afterClaim, keys[i]); err != nil {
			return nil, err
		}
	}
	return records, err
}

// Mark implements dedupe.Store.
func (s *processStore) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	done := func(i int) bool { return marks[i].State == dedupe.Done }
	key := func(i int) dedupe.Key { return marks[i].Key }
	return s.storeMarks(len(marks), done, key, func() ([]error, error) { return s.inner.Mark(ctx, marks) })
}

// Settle implements dedupe.Claimer.
func (s *processStore) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	done := func(i int) bool { return ss[i].Outcome == dedupe.Succeeded }
	key := func(i int) dedupe.Key { return ss[i].Claim.Key }
	return s.storeMarks(len(ss), done, key, func() ([]error, error) { return s.inner.Settle(ctx, ss) })
}

// storeMarks calls the store between the steps of those of n items that are done.
func (s *processStore) storeMarks(n int, done func(int) bool, key func(int) dedupe.Key, call func() ([]error, error)) ([]error, error) {
	for i := range n {
		if !done(i) {
			continue
		}
		if err := s.reach(beforeMark, key(i)); err != nil {
			return nil, err
		}
	}
	errs, err := guardCall(s.p, dedupe.ErrClosed, call)
	for i := range errs {
		if !done(i) || errs[i] != nil {
			continue
		}
		if err := s.reach(afterMark, key(i)); err != nil {
			return nil, err
		}
	}
	return errs, err
}

// Claim implements dedupe.Claimer.
func (s *processStore) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	for i := range rs {
		if err := s.reach(beforeClaim, rs[i].Key); err != nil {
			return nil, err
		}
	}
	cs, err := guardCall(s.p, dedupe.ErrClosed, func() ([]dedupe.Claim, error) { return s.inner.Claim(ctx, rs) })
	for i := range cs {
		if cs[i].State != dedupe.Fresh || cs[i].Err != nil {
			continue
		}
		if err := s.reach(afterClaim, cs[i].Key); err != nil {
			return nil, err
		}
	}
	return cs, err
}

// Extend implements dedupe.Claimer.
func (s *processStore) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	return guardCall(s.p, dedupe.ErrClosed, func() ([]error, error) { return s.inner.Extend(ctx, cs, lease, ttl) })
}

// Note implements dedupe.Noter.
func (s *processStore) Note(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) ([]error, error) {
	return guardCall(s.p, dedupe.ErrClosed, func() ([]error, error) { return s.inner.Note(ctx, ns, lease, ttl) })
}

// Watermarks implements dedupe.Watermarker.
func (s *processStore) Watermarks(ctx context.Context, group, topic string) ([]dedupe.Watermark, error) {
	return guardCall(s.p, dedupe.ErrClosed, func() ([]dedupe.Watermark, error) { return s.inner.Watermarks(ctx, group, topic) })
}

// Begin implements dedupe.Watermarker.
func (s *processStore) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
	return guardCall(s.p, dedupe.ErrClosed, func() (dedupe.Watermark, error) { return s.inner.Begin(ctx, group, topic, at) })
}

// Advance implements dedupe.Watermarker.
func (s *processStore) Advance(ctx context.Context, group, topic string, at dedupe.Watermark) error {
	return guardAct(s.p, dedupe.ErrClosed, func() error { return s.inner.Advance(ctx, group, topic, at) })
}

// Replace implements dedupe.Watermarker.
func (s *processStore) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error) {
	return guardCall(s.p, dedupe.ErrClosed, func() (bool, error) { return s.inner.Replace(ctx, group, topic, was, now) })
}
