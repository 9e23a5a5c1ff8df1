package dedupetest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// knowing is a store that remembers which keys were claimed.
func knowing(s *memdedupe.Store, build func(x *tampered, known *sync.Map)) allStore {
	var known sync.Map
	x := tampered{allStore: s, claim: func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
		for _, r := range rs {
			known.Store(r.Key, true)
		}
		return s.Claim(ctx, rs)
	}}
	build(&x, &known)
	return x
}

// itemMutants break what is said of single items, of rows that are gone, and of a store
// at its bound.
func itemMutants() map[string]mutant {
	return map[string]mutant{
		"absent is superseded": {"Absent/a settlement leaves what it would have left", func(s *memdedupe.Store) allStore {
			return knowing(s, func(x *tampered, known *sync.Map) {
				x.settle = func(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
					errs := make([]error, len(ss))
					for i := range ss {
						if _, ok := known.Load(ss[i].Claim.Key); !ok {
							errs[i] = dedupe.ErrSuperseded
							continue
						}
						one, err := s.Settle(ctx, ss[i:i+1])
						if err != nil {
							return nil, err
						}
						errs[i] = one[0]
					}
					return errs, nil
				}
			})
		}},
		"an absent claim is not extended": {"Absent/an extension writes the claim again", func(s *memdedupe.Store) allStore {
			return knowing(s, func(x *tampered, known *sync.Map) {
				x.extend = func(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
					errs, err := s.Extend(ctx, cs, lease, ttl)
					for i := range errs {
						if _, ok := known.Load(cs[i].Key); !ok {
							errs[i] = dedupe.ErrSuperseded
						}
					}
					return errs, err
				}
			})
		}},
		"what was absent has no counts": {"Absent/a settlement leaves what it would have left", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) { x.Claim.Attempts, x.Claim.Crashes = 0, 0 })
		}},
		"a refused request fails its batch": {"Claim/one that is refused stops no other", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, claim: func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
				cs, err := s.Claim(ctx, rs)
				for _, c := range cs {
					err = errors.Join(err, c.Err)
				}
				return cs, err
			}}
		}},
		"a refused mark fails its batch": {"Claim/one that is refused stops no other", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, mark: func(ctx context.Context, ms []dedupe.Mark) ([]error, error) {
				errs, err := s.Mark(ctx, ms)
				return errs, errors.Join(append(errs, err)...)
			}}
		}},
		"algorithms are compared": {"Claim/hashes of other algorithms are not compared", func(s *memdedupe.Store) allStore {
			return requests(s, func(r *dedupe.Request) {
				if _, sum, ok := bytes.Cut(r.Hash, []byte(":")); ok {
					r.Hash = sum
				}
			})
		}},
		"full settles nothing": {"Full/what is held can be renewed and ended", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, settle: func(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
				rs, err := s.Seen(ctx, []dedupe.Key{{ID: "nobody's"}})
				if err != nil {
					return nil, err
				}
				if rs[0].Err == nil {
					return s.Settle(ctx, ss)
				}
				errs := make([]error, len(ss))
				for i := range errs {
					errs[i] = rs[0].Err
				}
				return errs, nil
			}}
		}},
		"full is not seen": {"Full/refuses rather than forgets", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, seen: func(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
				rs, err := s.Seen(ctx, keys)
				for i := range rs {
					rs[i].Err = nil
				}
				return rs, err
			}}
		}},
	}
}
