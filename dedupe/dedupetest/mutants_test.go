package dedupetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

func mutants() map[string]mutant {
	all := make(map[string]mutant)
	for _, group := range []map[string]mutant{markMutants(), keyMutants(), claimMutants(), settleMutants(), timeMutants(), watermarkMutants(), itemMutants(), attemptMutants(), inspectMutants(), noteMutants()} {
		maps.Copy(all, group)
	}
	return all
}

func markMutants() map[string]mutant {
	return map[string]mutant{
		"mark does nothing over a row": {"Store/a mark over an expired row is kept", func(s *memdedupe.Store) allStore {
			var known sync.Map
			return tampered{allStore: s, mark: func(ctx context.Context, ms []dedupe.Mark) ([]error, error) {
				var rest []dedupe.Mark
				for _, m := range ms {
					if _, ok := known.LoadOrStore(m.Key, true); !ok {
						rest = append(rest, m)
					}
				}
				_, err := s.Mark(ctx, rest)
				return make([]error, len(ms)), err
			}}
		}},
		"marks never expire": {"Store/marks expire", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, mark: func(ctx context.Context, ms []dedupe.Mark) ([]error, error) {
				ms = append([]dedupe.Mark(nil), ms...)
				for i := range ms {
					ms[i].TTL = time.Hour
				}
				return s.Mark(ctx, ms)
			}}
		}},
		"first mark of a batch wins": {"Store/repeated keys in a batch", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, mark: func(ctx context.Context, ms []dedupe.Mark) ([]error, error) {
				var back []dedupe.Mark
				for _, m := range ms {
					back = append([]dedupe.Mark{m}, back...)
				}
				return s.Mark(ctx, back)
			}}
		}},
		"only 500 are seen": {"Store/large batches", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, mark: func(ctx context.Context, ms []dedupe.Mark) ([]error, error) {
				_, err := s.Mark(ctx, ms[:min(len(ms), 500)])
				return make([]error, len(ms)), err
			}}
		}},
		"marks forget their hash": {"Store/marks are seen", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, mark: func(ctx context.Context, ms []dedupe.Mark) ([]error, error) {
				ms = append([]dedupe.Mark(nil), ms...)
				for i := range ms {
					ms[i].Hash = nil
				}
				return s.Mark(ctx, ms)
			}}
		}},
		"contexts are ignored": {"Store/an ended context", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, mark: func(ctx context.Context, ms []dedupe.Mark) ([]error, error) {
				return s.Mark(context.WithoutCancel(ctx), ms)
			}}
		}},
		"full forgets": {"Full/refuses rather than forgets", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, claim: func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
				cs, err := s.Claim(ctx, rs)
				for i, r := range rs {
					if err == nil && errors.Is(cs[i].Err, dedupe.ErrFull) {
						cs[i] = dedupe.Claim{Key: r.Key, Nonce: r.Nonce, Token: 1}
					}
				}
				return cs, err
			}}
		}},
		"refusal is silence": {"Refuse/marks", func(s *memdedupe.Store) allStore { return silent{s} }},
	}
}

// silent is recognised by the rig: its refusals are swallowed.
type silent struct{ *memdedupe.Store }

func keyMutants() map[string]mutant {
	rename := func(f func(k dedupe.Key) dedupe.Key) func(s *memdedupe.Store) allStore {
		return func(s *memdedupe.Store) allStore { return rekeyed(s, f) }
	}
	return map[string]mutant{
		"naive separator": {"Hostile/marks are distinct", rename(func(k dedupe.Key) dedupe.Key {
			return inID(k.Topic + "::" + k.Group + "::" + k.ID)
		})},
		"ids without case": {"Hostile/claims are distinct", rename(func(k dedupe.Key) dedupe.Key {
			k.ID = strings.ToLower(k.ID)
			return k
		})},
		"invalid UTF-8 replaced": {"Hostile/claims are distinct", rename(func(k dedupe.Key) dedupe.Key {
			k.ID = strings.ToValidUTF8(k.ID, "\ufffd")
			return k
		})},
		"cut at NUL": {"Hostile/marks are distinct", rename(func(k dedupe.Key) dedupe.Key {
			k.Topic, _, _ = strings.Cut(k.Topic, "\x00")
			return k
		})},
		"cut at 512 bytes": {"Hostile/marks are distinct", rename(func(k dedupe.Key) dedupe.Key {
			k.ID = k.ID[:min(len(k.ID), 512)]
			return k
		})},
		"no scope by group": {"Store/scope is topic, group and id", rename(func(k dedupe.Key) dedupe.Key {
			k.Group = ""
			return k
		})},
		"a hostile key fails its batch": {"Hostile/claims are distinct", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, claim: func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
				for _, r := range rs {
					if len(r.Key.ID) > 1<<16 {
						return nil, dedupe.ErrKeyRefused
					}
				}
				return s.Claim(ctx, rs)
			}}
		}},
	}
}

func claimMutants() map[string]mutant {
	answer := func(f func(r dedupe.Request, c *dedupe.Claim)) func(s *memdedupe.Store) allStore {
		return func(s *memdedupe.Store) allStore { return answers(s, f) }
	}
	return map[string]mutant{
		"two winners": {"Race/64 claimers of an unknown key", func(s *memdedupe.Store) allStore {
			var seen sync.Map
			return tampered{allStore: s, claim: func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
				if len(rs) == 0 {
					return nil, nil
				}
				_, known := seen.Load(rs[0].Key)
				time.Sleep(time.Millisecond)
				seen.Store(rs[0].Key, true)
				cs, err := s.Claim(ctx, rs)
				if err == nil && !known {
					cs[0].State, cs[0].Token = dedupe.Fresh, 1
				}
				return cs, err
			}}
		}},
		"owned by process, not by nonce": {"Claim/another copy in this process", func(s *memdedupe.Store) allStore {
			var o owners
			return tampered{allStore: s, claim: func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
				cs, err := s.Claim(ctx, rs)
				for i := range cs {
					if mine := o.of(cs[i]); cs[i].State == dedupe.Held && mine.Nonce != cs[i].Nonce {
						cs[i].State = dedupe.Fresh
					}
				}
				o.won(cs)
				return cs, err
			}}
		}},
		"tokens start again":  {"Claim/takeover after the lease", answer(func(_ dedupe.Request, c *dedupe.Claim) { c.Token = 1 })},
		"no crash is counted": {"Race/64 claimers of a lapsed claim", answer(func(_ dedupe.Request, c *dedupe.Claim) { c.Crashes = 0 })},
		"nothing is reused":   {"Claim/another payload in every state", func(s *memdedupe.Store) allStore { return requests(s, func(r *dedupe.Request) { r.Hash = nil }) }},
		"age starts again":    {"Claim/age", answer(func(_ dedupe.Request, c *dedupe.Claim) { c.Age = 0 })},
		"held for ever":       {"Claim/fresh, then held", answer(func(_ dedupe.Request, c *dedupe.Claim) { c.HeldFor = time.Hour })},
		"held for nothing":    {"Settle/not due is held", answer(func(_ dedupe.Request, c *dedupe.Claim) { c.HeldFor = 0 })},
		"the asked hash":      {"Claim/no hash matches any", answer(func(r dedupe.Request, c *dedupe.Claim) { c.Hash = r.Hash })},
		"hashes cut to 32": {"Claim/any hash is kept", func(s *memdedupe.Store) allStore {
			return requests(s, func(r *dedupe.Request) { r.Hash = r.Hash[:min(len(r.Hash), 32)] })
		}},
		"letters are lost": {"DeadLettering/is leased, taken over, dead-lettered", answer(func(_ dedupe.Request, c *dedupe.Claim) { c.Letter = "" })},
		"dead letters crash": {"DeadLettering/a crash while dead-lettering counts nothing", answer(func(_ dedupe.Request, c *dedupe.Claim) {
			if c.State == dedupe.DeadLettering {
				c.Crashes++
			}
		})},
		"a repeated claim is new": {"Repeat/claim of an unknown key", func(s *memdedupe.Store) allStore {
			var mu sync.Mutex
			repeats := make(map[string]uint64)
			return answers(s, func(_ dedupe.Request, c *dedupe.Claim) {
				mu.Lock()
				defer mu.Unlock()
				c.Token += repeats[c.Nonce] << 20
				repeats[c.Nonce]++
			})
		}},
		"a mismatch takes the claim": {"Claim/another payload in every state", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, claim: func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
				cs, err := s.Claim(ctx, rs)
				for i := range cs {
					if cs[i].State == dedupe.Reused {
						q := rs[i]
						q.Hash = nil
						if _, err := s.Claim(ctx, []dedupe.Request{q}); err != nil {
							return nil, err
						}
					}
				}
				return cs, err
			}}
		}},
		"reopening keeps the hash": {"Reopen/dead", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, reopen: func(ctx context.Context, keys []dedupe.Key) ([]error, error) {
				for _, key := range keys {
					rs, err := s.Seen(ctx, []dedupe.Key{key})
					if err != nil || rs[0].State != dedupe.Dead {
						return make([]error, len(keys)), err
					}
					if err := stored(s.Reopen(ctx, []dedupe.Key{key})); err != nil {
						return nil, err
					}
					q := dedupe.Request{Key: key, Nonce: "reopener", Hash: rs[0].Hash, Lease: 1, TTL: keeping}
					cs, err := s.Claim(ctx, []dedupe.Request{q})
					if err != nil {
						return nil, err
					}
					if _, err := s.Settle(ctx, []dedupe.Settlement{end(cs[0], dedupe.NotBegun)}); err != nil {
						return nil, err
					}
				}
				return make([]error, len(keys)), nil
			}}
		}},
		"reopening forgets what is done": {"Reopen/leaves others alone", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, reopen: func(ctx context.Context, keys []dedupe.Key) ([]error, error) {
				rs, err := s.Seen(ctx, keys)
				for i, r := range rs {
					if r.State == dedupe.Done {
						err = errors.Join(err, stored(s.Mark(ctx, []dedupe.Mark{{Key: keys[i], State: dedupe.Dead, TTL: keeping}})))
					}
				}
				return make([]error, len(keys)), errors.Join(err, stored(s.Reopen(ctx, keys)))
			}}
		}},
	}
}

func settleMutants() map[string]mutant {
	return map[string]mutant{
		"no fence": {"Settle/a stale owner after give-back", func(s *memdedupe.Store) allStore {
			var o owners
			return tampered{
				allStore: s,
				claim: func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
					cs, err := s.Claim(ctx, rs)
					o.won(cs)
					return cs, err
				},
				settle: func(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
					ss = append([]dedupe.Settlement(nil), ss...)
					for i := range ss {
						ss[i].Claim = o.of(ss[i].Claim)
					}
					return s.Settle(ctx, ss)
				},
			}
		}},
		"a repeat is superseded": {"Settle/repeated is true", func(s *memdedupe.Store) allStore {
			var once sync.Map
			return tampered{allStore: s, settle: func(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
				errs, err := s.Settle(ctx, ss)
				for i := range errs {
					if _, again := once.LoadOrStore(fmt.Sprint(ss[i].Claim.Nonce, ss[i].Outcome), true); again {
						errs[i] = dedupe.ErrSuperseded
					}
				}
				return errs, err
			}}
		}},
		"a repeat counts again": {"Settle/attempts are counted once", func(s *memdedupe.Store) allStore {
			var mu sync.Mutex
			failed := make(map[dedupe.Key]int)
			x, _ := answers(s, func(_ dedupe.Request, c *dedupe.Claim) {
				mu.Lock()
				defer mu.Unlock()
				c.Attempts = failed[c.Key]
			}).(tampered)
			x.settle = func(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
				errs, err := s.Settle(ctx, ss)
				mu.Lock()
				defer mu.Unlock()
				for i, e := range errs {
					if e == nil && (ss[i].Outcome == dedupe.Failed || ss[i].CountAttempt) {
						failed[ss[i].Claim.Key]++
					}
				}
				return errs, err
			}
			return x
		}},
		"not begun counts": {"Settle/what never began counts nothing", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) {
				if x.Outcome == dedupe.NotBegun {
					x.Outcome = dedupe.Failed
				}
			})
		}},
		"giving up always counts": {"DeadLettering/attempts are counted if asked", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) { x.CountAttempt = true })
		}},
		"no delay": {"Settle/not due is held", func(s *memdedupe.Store) allStore { return settlements(s, func(x *dedupe.Settlement) { x.After = 0 }) }},
		"dead letter at once": {"Claim/another payload in every state", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) {
				x.Lease = time.Nanosecond
			})
		}},
		"reasons cut short": {"DeadLettering/reasons are cut", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) { x.Reason = x.Reason[:min(len(x.Reason), 100)] })
		}},
		"extends anything": {"Claim/takeover after the lease", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, extend: func(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
				_, err := s.Extend(ctx, cs, lease, ttl)
				return make([]error, len(cs)), err
			}}
		}},
		"extends what is settled": {"Model/concurrent history", func(s *memdedupe.Store) allStore {
			var o owners
			return tampered{
				allStore: s,
				claim: func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
					cs, err := s.Claim(ctx, rs)
					o.won(cs)
					return cs, err
				},
				extend: func(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
					errs, err := s.Extend(ctx, cs, lease, ttl)
					for i := range errs {
						if o.of(cs[i]).Nonce == cs[i].Nonce {
							errs[i] = nil
						}
					}
					return errs, err
				},
			}
		}},
		"a lost update": {"Model/concurrent history", func(s *memdedupe.Store) allStore {
			var n int
			var mu sync.Mutex
			return tampered{allStore: s, settle: func(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
				mu.Lock()
				defer mu.Unlock()
				if n++; n%7 > 0 {
					return s.Settle(ctx, ss)
				}
				return make([]error, len(ss)), nil
			}}
		}},
	}
}

func timeMutants() map[string]mutant {
	return map[string]mutant{
		"extension does not renew": {"Expiry/every write renews", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, extend: func(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
				return s.Extend(ctx, cs, lease, ttl/10)
			}}
		}},
		"settlement does not renew": {"Expiry/every write renews", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) { x.TTL /= 10 })
		}},
		"claims do not renew": {"Expiry/every write renews", func(s *memdedupe.Store) allStore {
			var known sync.Map
			return requests(s, func(r *dedupe.Request) {
				if _, ok := known.LoadOrStore(r.Key, true); ok {
					r.TTL /= 10
				}
			})
		}},
		"claims never expire": {"Expiry/every state is absent after its TTL", func(s *memdedupe.Store) allStore {
			return requests(s, func(r *dedupe.Request) { r.TTL = time.Hour })
		}},
		"leases never end": {"Claim/takeover after the lease", func(s *memdedupe.Store) allStore {
			return requests(s, func(r *dedupe.Request) { r.Lease = time.Hour })
		}},
		"the client's clock": {"Skew/fast, then slow", func(s *memdedupe.Store) allStore {
			// leases and TTLs reach as far as the client's clock is ahead
			return tampered{allStore: s, skew: func(d time.Duration) allStore {
				return requests(s, func(r *dedupe.Request) { r.Lease, r.TTL = max(r.Lease+d, 1), r.TTL+d })
			}}
		}},
	}
}

func watermarkMutants() map[string]mutant {
	return map[string]mutant{
		"begin overwrites": {"Watermark/begins once", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, begin: func(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
				_, err := s.Begin(ctx, group, topic, at)
				return at, err
			}}
		}},
		"each stream is new": {"Watermark/each incarnation has its own, in the order in which they were begun", func(s *memdedupe.Store) allStore {
			return tampered{
				allStore: s,
				begin: func(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
					return s.Begin(ctx, group+"@"+at.Stream, topic, at)
				},
				advance: func(ctx context.Context, group, topic string, at dedupe.Watermark) error {
					return s.Advance(ctx, group+"@"+at.Stream, topic, at)
				},
			}
		}},
		"incarnations in any order": {"Watermark/each incarnation has its own, in the order in which they were begun", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, kept: func(ctx context.Context, group, topic string) ([]dedupe.Watermark, error) {
				ws, err := s.Watermarks(ctx, group, topic)
				slices.SortFunc(ws, func(a, b dedupe.Watermark) int { return strings.Compare(a.Stream, b.Stream) })
				return ws, err
			}}
		}},
		"no trail": {"Watermark/never goes back", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, advance: func(ctx context.Context, group, topic string, at dedupe.Watermark) error {
				at.Trail = nil
				return s.Advance(ctx, group, topic, at)
			}}
		}},
		"a later time is an advance": {"Watermark/never goes back", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, advance: func(ctx context.Context, group, topic string, at dedupe.Watermark) error {
				ws, err := s.Watermarks(ctx, group, topic)
				for _, w := range ws {
					if w.Stream == at.Stream && w.Sequence == at.Sequence && w.Stored.Before(at.Stored) {
						_, err = s.Replace(ctx, group, topic, w, at)
					}
				}
				return errors.Join(err, s.Advance(ctx, group, topic, at))
			}}
		}},
		"replaces whatever is kept": {"Watermark/is replaced only where it is what is kept", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, replace: func(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error) {
				ws, err := s.Watermarks(ctx, group, topic)
				for _, w := range ws {
					if w.Stream == was.Stream && w.Sequence == was.Sequence {
						return s.Replace(ctx, group, topic, w, now)
					}
				}
				return false, err
			}}
		}},
		"each who replaces at once has done it": {"Watermark/64 replace at once", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, replace: func(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error) {
				ok, err := s.Replace(ctx, group, topic, was, now)
				return ok || was.Sequence == 1000, err
			}}
		}},
		"times in milliseconds": {"Watermark/exact", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, begin: func(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
				at.Stored = at.Stored.Truncate(time.Millisecond)
				return s.Begin(ctx, group, topic, at)
			}}
		}},
		"sequences as floats": {"Watermark/exact", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, begin: func(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
				at.Sequence = uint64(float64(at.Sequence))
				return s.Begin(ctx, group, topic, at)
			}}
		}},
		"advance begins": {"Watermark/advance of what never began", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, advance: func(ctx context.Context, group, topic string, at dedupe.Watermark) error {
				if _, err := s.Begin(ctx, group, topic, at); err != nil {
					return err
				}
				return s.Advance(ctx, group, topic, at)
			}}
		}},
		"naive scope": {"Watermark/scope", func(s *memdedupe.Store) allStore {
			return tampered{
				allStore: s,
				begin: func(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
					return s.Begin(ctx, group+"::"+topic, "", at)
				},
				advance: func(ctx context.Context, group, topic string, at dedupe.Watermark) error {
					return s.Advance(ctx, group+"::"+topic, "", at)
				},
			}
		}},
		"the last to begin wins a race": {"Watermark/64 begin at once", func(s *memdedupe.Store) allStore {
			var mu sync.Mutex
			streams := make(map[string]int)
			return tampered{allStore: s, begin: func(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
				p, err := s.Begin(ctx, group, topic, at)
				mu.Lock()
				defer mu.Unlock()
				if streams[at.Stream]++; streams[at.Stream] == 9 {
					return at, err
				}
				return p, err
			}}
		}},
	}
}
