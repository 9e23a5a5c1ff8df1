package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// transactor gives a memory store transactions: what a handler writes is kept with the mark,
// or not at all.
type transactor struct {
	*memdedupe.Store
	probe error
	// commit is asked before a transaction is committed, and told how many were before; it answers
	// in the store's place: before the commit, after it, or, both nil, not at all.
	commit func(before int) (instead, after error)
	// start fails a transaction before its function runs.
	start func(before int) error

	mu      sync.Mutex
	started int
	commits int
	effects []string
	settled []dedupe.Outcome
	leases  []time.Duration
}

var errConflict = errors.New("write conflict")

type effectsKey struct{}

func (s *transactor) ProbeTransactions(context.Context) error { return s.probe }

func (s *transactor) Transact(ctx context.Context, c dedupe.Claim, lease, ttl time.Duration, fn func(context.Context) error) error {
	s.mu.Lock()
	s.leases = append(s.leases, lease)
	n := s.started
	s.started++
	s.mu.Unlock()
	if s.start != nil {
		if err := s.start(n); err != nil {
			return err
		}
	}
	if errs, err := s.Extend(ctx, []dedupe.Claim{c}, lease, ttl); err != nil || errs[0] != nil {
		return errors.Join(dedupe.ErrSuperseded, err)
	}
	for runs := 1; ; runs++ {
		var written []string
		err := fn(context.WithValue(ctx, effectsKey{}, &written))
		if errors.Is(err, errConflict) && runs < 5 {
			continue
		}
		if errors.Is(err, errConflict) {
			return fmt.Errorf("%w: %w", dedupe.ErrTransactionAborted, err)
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = s.end(c, ttl, written)
		}
		return err
	}
}

func (s *transactor) end(c dedupe.Claim, ttl time.Duration, written []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var instead, after error
	if s.commit != nil {
		instead, after = s.commit(s.commits)
	}
	s.commits++
	if instead != nil {
		return instead
	}
	errs, err := s.Store.Settle(context.Background(), []dedupe.Settlement{{Claim: c, TTL: ttl}})
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	s.effects = append(s.effects, written...)
	return after
}

func (s *transactor) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	s.mu.Lock()
	for i := range ss {
		s.settled = append(s.settled, ss[i].Outcome)
	}
	s.mu.Unlock()
	return s.Store.Settle(ctx, ss)
}

// write is what a handler does in its transaction.
func write(ctx context.Context, what string) {
	if all, ok := ctx.Value(effectsKey{}).(*[]string); ok {
		*all = append(*all, what)
	}
}

func effect(ctx context.Context, e bus.Event) error {
	write(ctx, e.ID)
	return nil
}

func (w *harness) transactional() *transactor {
	w.t.Helper()
	m, err := memdedupe.New(nil)
	must(w.t, err)
	s := &transactor{Store: m}
	w.store = s
	return s
}

var transactional = consumer.Options{Mode: consumer.Transactional}

// wantEffects waits until all is quiet, and holds the effects and settlements against
// what is wanted.
func (s *transactor) wantEffects(w *harness, effects string, settled ...dedupe.Outcome) {
	w.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.effects)
	if got := strings.Join(s.effects, " "); got != effects {
		w.t.Errorf("the effects are %q, want %q", got, effects)
	}
	if !slices.Equal(s.settled, settled) {
		w.t.Errorf("settled %v, want %v", s.settled, settled)
	}
}

func TestTransactional(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.transactional()
		sub := w.subscribe(effect, &transactional)
		w.publish(order("1"), order("2"))
		w.again(order("1"), 2)
		time.Sleep(time.Minute)
		s.wantEffects(w, "1 2")
		if st := sub.Stats(); st.Handled != 2 || st.Duplicates != 2 || w.starts() != 2 {
			t.Errorf("%+v after %d runs", st, w.starts())
		}
		if s.leases[0] != 40*time.Second {
			t.Errorf("began with a lease of %v, want that of a run and its commit", s.leases[0])
		}
	})
}

// What the server undoes is run again, and the handler may know.
func TestTransactionalRerun(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.transactional()
		w.subscribe(func(ctx context.Context, e bus.Event) error {
			if consumer.AttemptFrom(ctx).Rerun < 2 {
				return fmt.Errorf("insert: %w", errConflict)
			}
			return effect(ctx, e)
		}, &transactional)
		w.publish(order("1"))
		time.Sleep(time.Second)
		s.wantEffects(w, "1")
		for i, a := range w.runs {
			if a.Rerun != i || a.Number != 1 {
				t.Errorf("run %d is %+v", i, a)
			}
		}
	})
}

// What only conflicts is no fault of the event's: it is given back and redelivered, with no attempt
// counted, however often.
func TestTransactionalConflicts(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.transactional()
		o := transactional
		o.MaxAttempts = 1
		const conflicts = 12
		sub := w.subscribe(func(ctx context.Context, e bus.Event) error {
			if w.starts() <= conflicts*5 {
				return fmt.Errorf("insert: %w", errConflict)
			}
			return effect(ctx, e)
		}, &o)
		w.publish(order("1"))
		time.Sleep(5 * time.Minute)
		s.wantEffects(w, "1", slices.Repeat([]dedupe.Outcome{dedupe.NotBegun}, conflicts)...)
		if ls := w.letters(); len(ls) > 0 {
			t.Errorf("%d dead letters: %+v", len(ls), ls)
		}
		if st := sub.Stats(); st.Failed > 0 || st.GivenBack != conflicts || st.Handled != 1 {
			t.Errorf("%+v", st)
		}
		for i, at := range w.startedAt() {
			if i > 0 && at.Sub(w.startedAt()[i-1]) > 5*time.Second {
				t.Errorf("run %d came %v after the one before it", i, at.Sub(w.startedAt()[i-1]))
			}
		}
	})
}

// What conflicts for half the TTL is given up for its age, as what snoozes is.
func TestTransactionalConflictsForEver(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.transactional()
		o := transactional
		o.TTL = 10 * time.Minute
		w.subscribe(func(context.Context, bus.Event) error { return errConflict }, &o)
		w.publish(order("1"))
		time.Sleep(6 * time.Minute)
		if ls := w.letters(); len(ls) != 1 || !strings.Contains(ls[0].Reason, "too old") || !strings.Contains(ls[0].Reason, "write conflict") {
			t.Errorf("%d letters: %+v", len(ls), ls)
		}
		s.wantEffects(w, "", s.settled...)
	})
}

// A transaction that is over before its commit will be so again: its event is dead-lettered at
// once, with the reason.
func TestTransactionalEnded(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.transactional()
		s.commit = func(int) (instead, after error) {
			return fmt.Errorf("%w: by the handler", dedupe.ErrTransactionEnded), nil
		}
		w.subscribe(effect, &transactional)
		w.publish(order("1"))
		time.Sleep(time.Second)
		s.wantEffects(w, "", dedupe.GivenUp, dedupe.DeadLettered)
		if ls := w.letters(); len(ls) != 1 || w.starts() != 1 || !strings.Contains(ls[0].Reason, "over before its commit: by the handler") {
			t.Errorf("%d letters after %d runs: %+v", len(ls), w.starts(), ls)
		}
	})
}

// What the handler has committed itself is done, whatever it did afterwards.
func TestTransactionalCommittedEarly(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.transactional()
		s.commit = func(int) (instead, after error) {
			return nil, fmt.Errorf("%w: %w", dedupe.ErrTransactionEnded, dedupe.ErrCommittedEarly)
		}
		sub := w.subscribe(effect, &transactional)
		w.publish(order("1"))
		time.Sleep(time.Minute)
		s.wantEffects(w, "1")
		if st := sub.Stats(); st.Handled != 1 || len(w.letters()) > 0 || w.starts() != 1 {
			t.Errorf("%+v after %d runs, %d letters", st, w.starts(), len(w.letters()))
		}
	})
}

// A verdict is final, whatever it wraps.
func TestTransactionalPermanent(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.transactional()
		w.subscribe(func(ctx context.Context, e bus.Event) error {
			write(ctx, e.ID)
			return fmt.Errorf("insert: %w", consumer.Permanent(errConflict))
		}, &transactional)
		w.publish(order("1"))
		time.Sleep(time.Second)
		s.wantEffects(w, "", dedupe.GivenUp, dedupe.DeadLettered)
		if ls := w.letters(); len(ls) != 1 || w.starts() != 1 || !strings.Contains(ls[0].Reason, "permanent: insert: write conflict") {
			t.Errorf("%d letters after %d runs: %+v", len(ls), w.starts(), ls)
		}
	})
}

// A failed run, a panic included, counts an attempt and leaves nothing.
func TestTransactionalFails(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.transactional()
		w.subscribe(func(ctx context.Context, e bus.Event) error {
			write(ctx, e.ID)
			switch consumer.AttemptFrom(ctx).Number {
			case 1:
				return errors.New("not now")
			case 2:
				panic("oops")
			}
			return nil
		}, &transactional)
		w.publish(order("1"))
		time.Sleep(time.Minute)
		s.wantEffects(w, "1", dedupe.Failed, dedupe.Failed)
	})
}

// A transaction that does not begin is no fault of the event's.
func TestTransactionalUnbegun(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.transactional()
		s.start = func(before int) error {
			if before < 3 {
				return errors.New("the store is away")
			}
			return nil
		}
		w.subscribe(effect, &transactional)
		w.publish(order("1"))
		time.Sleep(time.Minute)
		s.wantEffects(w, "1", dedupe.NotBegun, dedupe.NotBegun, dedupe.NotBegun)
		if w.runs[0].Number != 1 {
			t.Errorf("attempt %d", w.runs[0].Number)
		}
	})
}

// A commit of which nobody knows is neither acknowledged nor settled: once the lease is over the
// mark tells, or the event runs again.
func TestTransactionalUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		committed bool
		runs      int
		took      time.Duration // until the bus has its answer, at least
	}{
		"committed":     {true, 1, 0},
		"not committed": {false, 2, 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				s := w.transactional()
				s.commit = func(before int) (instead, after error) {
					err := fmt.Errorf("commit: %w", dedupe.ErrCommitUnknown)
					switch {
					case before > 0:
						return nil, nil
					case c.committed:
						return nil, err
					}
					return err, nil
				}
				sub := w.subscribe(effect, &transactional)
				w.publish(order("1"))
				time.Sleep(5 * time.Second)
				if st := sub.Stats(); st.Lost != 1 || st.Handled+st.Duplicates+st.Failed > 0 {
					t.Errorf("right after it %+v", st)
				}
				time.Sleep(5 * time.Minute)
				s.wantEffects(w, "1")
				if w.starts() != c.runs || w.startedAt()[c.runs-1].Sub(w.startedAt()[0]) < c.took {
					t.Errorf("runs at %v", w.startedAt())
				}
				if info := sub.Stats(); info.Handled+info.Duplicates != 1 {
					t.Errorf("%+v", info)
				}
			})
		})
	}
}

// A claim that is another's is told nothing.
func TestTransactionalSuperseded(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.transactional()
		s.start = func(before int) error {
			if before == 0 {
				return dedupe.ErrSuperseded
			}
			return nil
		}
		sub := w.subscribe(effect, &transactional)
		w.publish(order("1"))
		time.Sleep(time.Second)
		if st := sub.Stats(); st.Lost != 1 || st.Handled+st.Failed+st.GivenBack > 0 {
			t.Errorf("%+v", st)
		}
		s.wantEffects(w, "")
	})
}

// A drain that takes too long aborts what runs, and the event is redelivered.
func TestTransactionalDrain(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.transactional()
		o := transactional
		o.Drain = time.Second
		sub := w.subscribe(func(ctx context.Context, e bus.Event) error {
			<-ctx.Done()
			return effect(ctx, e)
		}, &o)
		w.publish(order("1"))
		synctest.Wait()
		w.drain(sub)
		s.wantEffects(w, "", dedupe.NotBegun)
	})
}

// The mode is refused without transactions, and out of its bounds.
func TestTransactionalRefused(t *testing.T) {
	inBubble(t, func(w *harness) {
		subscribe := func(o consumer.Options) error {
			o.Mode = consumer.Transactional
			_, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, "order.*", "billing", w.store, nothing, &o)
			return err
		}
		if err := subscribe(consumer.Options{}); !errors.Is(err, consumer.ErrNotTransactor) {
			t.Errorf("a store without transactions: %v", err)
		}
		s := w.transactional()
		s.probe = fmt.Errorf("probe: %w", dedupe.ErrNoTransactions)
		if err := subscribe(consumer.Options{}); !errors.Is(err, dedupe.ErrNoTransactions) {
			t.Errorf("a server without transactions: %v", err)
		}
		s.probe = nil
		for says, o := range map[string]consumer.Options{
			"Options.RunLimit is 56s: in mode Transactional it must be at most 55s":                                           {RunLimit: 56 * time.Second},
			"Options.TTL is 40s: in mode Transactional it must be longer than 40s, which RunLimit (30s) and the commit (10s)": {TTL: 40 * time.Second, Unsafe: true},
		} {
			if err := subscribe(o); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
		}
	})
}
