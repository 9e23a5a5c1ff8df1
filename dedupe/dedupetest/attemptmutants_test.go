package dedupetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// histories tampers with the history that claims are answered.
func histories(f func(history []dedupe.Attempt) []dedupe.Attempt) func(s *memdedupe.Store) allStore {
	return func(s *memdedupe.Store) allStore {
		return answers(s, func(_ dedupe.Request, c *dedupe.Claim) { c.History = f(c.History) })
	}
}

func attemptMutants() map[string]mutant {
	each := func(f func(a *dedupe.Attempt)) func(s *memdedupe.Store) allStore {
		return histories(func(history []dedupe.Attempt) []dedupe.Attempt {
			for i := range history {
				f(&history[i])
			}
			return history
		})
	}
	return map[string]mutant{
		"the latest attempt first": {"Attempts/are kept exactly, in order, the last ones", histories(func(h []dedupe.Attempt) []dedupe.Attempt {
			slices.Reverse(h)
			return h
		})},
		"the first attempts are kept": {"Attempts/are kept exactly, in order, the last ones", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) {
				if len(x.Claim.History) == dedupe.MaxHistory {
					x.Attempt = nil
				}
			})
		}},
		"attempts that count nothing are left out": {"Attempts/are kept exactly, in order, the last ones", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) {
				if x.Outcome == dedupe.NotBegun {
					x.Attempt = nil
				}
			})
		}},
		"attempts end in seconds": {"Attempts/are kept exactly, in order, the last ones", each(func(a *dedupe.Attempt) { a.Ended = a.Ended.Truncate(time.Second) })},
		"attempts took milliseconds": {"Attempts/are kept exactly, in order, the last ones", each(func(a *dedupe.Attempt) {
			a.Took = a.Took.Truncate(time.Millisecond)
		})},
		"sequences of attempts as floats": {"Attempts/are kept exactly, in order, the last ones", each(func(a *dedupe.Attempt) {
			a.Sequence = uint64(float64(a.Sequence))
		})},
		"a repeat adds its attempt": {"Attempts/are added once", func(s *memdedupe.Store) allStore {
			extra := make(map[dedupe.Key][]dedupe.Attempt)
			x, _ := answers(s, func(_ dedupe.Request, c *dedupe.Claim) { c.History = append(c.History, extra[c.Key]...) }).(tampered)
			applied := make(map[string]bool)
			x.settle = func(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
				for _, y := range ss {
					if y.Attempt != nil && applied[y.Claim.Nonce] {
						extra[y.Claim.Key] = append(extra[y.Claim.Key], *y.Attempt)
					}
					applied[y.Claim.Nonce] = true
				}
				return s.Settle(ctx, ss)
			}
			return lockedCalls(x)
		}},
		"a late repeat adds its attempt": {"Attempts/are counted once under two claims of one request", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) {
				if x.Attempt != nil {
					other := *x.Attempt
					other.Took += time.Duration(rand.Int64N(1 << 40)) // as good as another one
					x.Attempt = &other
				}
			})
		}},
		"no attempt of the run that gave up": {"Attempts/survive a dead letter and a takeover of it", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) {
				if x.Outcome == dedupe.GivenUp {
					x.Attempt = nil
				}
			})
		}},
		"no attempts of what is dead-lettering": {"Attempts/survive a dead letter and a takeover of it", func(s *memdedupe.Store) allStore {
			return answers(s, func(_ dedupe.Request, c *dedupe.Claim) {
				if c.State == dedupe.DeadLettering {
					c.History = nil
				}
			})
		}},
		"no attempts after a crash": {"Attempts/survive a takeover", func(s *memdedupe.Store) allStore {
			return answers(s, func(_ dedupe.Request, c *dedupe.Claim) {
				if c.Crashes > 1 {
					c.History = nil
				}
			})
		}},
		"what was absent has no attempts": {"Attempts/of a row that is gone", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) { x.Claim.History = nil })
		}},
		"errors cut to 100 bytes": {"Attempts/are cut", each(func(a *dedupe.Attempt) { a.Error = dedupe.TrimReason(a.Error, 100) })},
		"processes cut within characters": {"Attempts/are cut", each(func(a *dedupe.Attempt) {
			a.Process = a.Process[:min(len(a.Process), dedupe.MaxAttemptProcess-3)]
		})},
	}
}

// lockedCalls makes claims and settlements one at a time, for mutants that keep something of
// theirs.
func lockedCalls(x tampered) allStore {
	one := make(chan struct{}, 1)
	claim, settle := x.claim, x.settle
	x.claim = func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
		one <- struct{}{}
		defer func() { <-one }()
		return claim(ctx, rs)
	}
	x.settle = func(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
		one <- struct{}{}
		defer func() { <-one }()
		return settle(ctx, ss)
	}
	return x
}

// entries tampers with what Inspect answers.
func entries(f func(e *dedupe.Entry)) func(s *memdedupe.Store) allStore {
	return func(s *memdedupe.Store) allStore {
		return tampered{allStore: s, inspect: func(ctx context.Context, keys []dedupe.Key) ([]dedupe.Entry, error) {
			es, err := s.Inspect(ctx, keys)
			for i := range es {
				f(&es[i])
			}
			return es, err
		}}
	}
}

func inspectMutants() map[string]mutant {
	return map[string]mutant{
		"what is absent expires":         {"Inspect/of what is not kept", entries(func(e *dedupe.Entry) { e.ExpiresIn++ })},
		"entries without a lease":        {"Inspect/each phase", entries(func(e *dedupe.Entry) { e.HeldFor = 0 })},
		"entries without counts":         {"Inspect/each phase", entries(func(e *dedupe.Entry) { e.Attempts, e.Crashes = 0, 0 })},
		"entries without a dead letter":  {"Inspect/each phase", entries(func(e *dedupe.Entry) { e.Reason, e.Letter = "", "" })},
		"entries that expire at once":    {"Inspect/each phase", entries(func(e *dedupe.Entry) { e.ExpiresIn = 0 })},
		"entries of another owner":       {"Inspect/each phase", entries(func(e *dedupe.Entry) { e.Owner = "somebody" })},
		"entries without a hash":         {"Inspect/a mark", entries(func(e *dedupe.Entry) { e.Hash = nil })},
		"marks have an age":              {"Inspect/a mark", entries(func(e *dedupe.Entry) { e.Age++ })},
		"entries without attempts":       {"Inspect/attempts", entries(func(e *dedupe.Entry) { e.History = nil })},
		"what is reopened keeps its age": {"Inspect/what was reopened", entries(func(e *dedupe.Entry) { e.Age = time.Hour })},
		"inspection claims": {"Inspect/changes nothing", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, inspect: func(ctx context.Context, keys []dedupe.Key) ([]dedupe.Entry, error) {
				for _, key := range keys {
					if _, err := s.Claim(ctx, []dedupe.Request{{Key: key, Nonce: "inspector", Lease: 1, TTL: keeping}}); err != nil {
						return nil, err
					}
				}
				return s.Inspect(ctx, keys)
			}}
		}},
		"repeated keys are answered once": {"Inspect/keys may repeat", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, inspect: func(ctx context.Context, keys []dedupe.Key) ([]dedupe.Entry, error) {
				es, err := s.Inspect(ctx, keys)
				for i := range es {
					if slices.Contains(keys[:i], keys[i]) {
						es[i] = dedupe.Entry{}
					}
				}
				return es, err
			}}
		}},
		"only 500 are inspected": {"Inspect/large batches", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, inspect: func(ctx context.Context, keys []dedupe.Key) ([]dedupe.Entry, error) {
				es, err := s.Inspect(ctx, keys[max(0, len(keys)-500):])
				return append(make([]dedupe.Entry, len(keys)-len(es)), es...), err
			}}
		}},
		"inspection outlives its context": {"Inspect/an ended context", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, inspect: func(ctx context.Context, keys []dedupe.Key) ([]dedupe.Entry, error) {
				return s.Inspect(context.WithoutCancel(ctx), keys)
			}}
		}},
	}
}
