package dedupetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/onceish/onceish/dedupe"
)

const (
	historyClients = 6
	historyRounds  = 20
	// historySteps bounds the search for an order, in time and in memory. A good store's takes
	// some thousand.
	historySteps = 300_000
)

// call is an operation of a history: one of claim, extend, settle, reopen.
type call struct {
	key    dedupe.Key
	claim  *asked
	extend bool
	settle bool
	// nonce, outcome, letter and counted are of extend and settle.
	nonce   string
	outcome dedupe.Outcome
	letter  string
	counted bool
}

// answer is what came of it. Lost: an error; it was applied before that, or never.
type answer struct {
	lost bool
	told told
	ok   bool
}

// history has clients compete for few keys, and looks for an order of their calls in which each
// answer is right.
func history(t *testing.T, k *kit) {
	h := &historian{k: k, keys: keys(3)}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	for client := range historyClients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(client)))
			for i := range historyRounds {
				err := h.round(t.Context(), client, r, i > historyRounds-3)
				if err == nil && h.k.reopener != nil {
					err = h.maybe(r, 3, func() error { return h.reopen(t.Context(), client, h.keys[r.IntN(len(h.keys))]) })
				}
				if err != nil {
					t.Errorf("client %d: %v", client, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, key := range h.keys {
		h.check(t, key)
	}
}

// historian records a history. Its clock counts calls and returns: what returned before another was
// called is smaller, which is all that matters.
type historian struct {
	k     *kit
	keys  []dedupe.Key
	clock atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (h *historian) record(client int, in call, run func() (answer, error)) (answer, error) {
	disarm := func() bool { return false }
	if h.k.s.Fault != nil && rand.IntN(12) == 0 {
		disarm = h.k.s.Fault(rand.IntN(3), rand.IntN(2) == 0)
	}
	start := h.clock.Add(1)
	out, err := run()
	end := h.clock.Add(1)
	disarm()
	if err != nil {
		out = answer{lost: true}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: start, Return: end})
	return out, err
}

// round claims a key, and settles what it won, as a consumer does, and at times again, and at times
// when it should not. No key is left claimed.
func (h *historian) round(ctx context.Context, client int, r *rand.Rand, last bool) error {
	q := h.k.request(h.keys[r.IntN(len(h.keys))])
	if r.IntN(10) == 0 {
		q.Hash = hashB
	}
	got, err := h.claim(ctx, client, q)
	if err == nil && r.IntN(4) == 0 {
		got, err = h.claim(ctx, client, q)
	}
	if err != nil {
		return err
	}
	c := dedupe.Claim{Key: q.Key, Nonce: q.Nonce, Token: got.told.token}
	for _, s := range h.verdicts(c, got.told.state, r, last) {
		if err := h.maybe(r, 3, func() error { return h.extend(ctx, client, c) }); err != nil {
			return err
		}
		for range 1 + r.IntN(2) {
			if err := h.settle(ctx, client, s); err != nil {
				return err
			}
		}
	}
	return h.maybe(r, 4, func() error { return h.extend(ctx, client, c) })
}

func (h *historian) maybe(r *rand.Rand, n int, do func() error) error {
	if r.IntN(n) > 0 {
		return nil
	}
	return do()
}

// verdicts are what a claim is settled as, one after the other; only the last rounds succeed, for
// that ends a key.
func (h *historian) verdicts(c dedupe.Claim, state dedupe.State, r *rand.Rand, last bool) []dedupe.Settlement {
	as := func(os ...dedupe.Outcome) (ss []dedupe.Settlement) {
		for _, o := range os {
			s := end(c, o)
			s.Letter, s.CountAttempt = "letter of "+c.Nonce, r.IntN(2) == 0
			ss = append(ss, s)
		}
		return ss
	}
	switch n := r.IntN(10); {
	case state == dedupe.DeadLettering:
		return as(dedupe.Failed, dedupe.DeadLettered)
	case last && n < 2:
		return as(dedupe.Succeeded)
	case n < 3 && h.k.reopener != nil:
		return as(dedupe.GivenUp, dedupe.DeadLettered)
	case n < 4 && h.k.reopener != nil:
		return as(dedupe.GivenUp) // and another reopens it
	case n < 7:
		return as(dedupe.Failed, dedupe.NotBegun)
	}
	return as(dedupe.NotBegun, dedupe.Failed)
}

// insist records a call, and its repetitions until it is answered.
func (h *historian) insist(client int, in call, run func() (answer, error)) (out answer, err error) {
	for range 5 {
		if out, err = h.record(client, in, run); err == nil {
			return out, nil
		}
		if h.k.s.Fault == nil {
			break
		}
	}
	return out, err
}

func (h *historian) claim(ctx context.Context, client int, q dedupe.Request) (answer, error) {
	in := call{key: q.Key, claim: &asked{q.Nonce, string(q.Hash)}}
	return h.insist(client, in, func() (answer, error) {
		cs, err := h.k.claimer.Claim(ctx, []dedupe.Request{q})
		if err != nil {
			return answer{}, err
		}
		return answer{told: tell(&cs[0])}, nil
	})
}

func (h *historian) extend(ctx context.Context, client int, c dedupe.Claim) error {
	in := call{key: c.Key, extend: true, nonce: c.Nonce}
	_, err := h.insist(client, in, func() (answer, error) {
		oks, err := applied(h.k.claimer.Extend(ctx, []dedupe.Claim{c}, lasting, keeping))
		if err != nil {
			return answer{}, err
		}
		return answer{ok: oks[0]}, nil
	})
	return err
}

func (h *historian) settle(ctx context.Context, client int, s dedupe.Settlement) error {
	in := call{
		key: s.Claim.Key, settle: true, nonce: s.Claim.Nonce,
		outcome: s.Outcome, letter: s.Letter, counted: s.CountAttempt,
	}
	_, err := h.insist(client, in, func() (answer, error) {
		oks, err := applied(h.k.claimer.Settle(ctx, []dedupe.Settlement{s}))
		if err != nil {
			return answer{}, err
		}
		return answer{ok: oks[0]}, nil
	})
	return err
}

func (h *historian) reopen(ctx context.Context, client int, key dedupe.Key) error {
	_, err := h.insist(client, call{key: key}, func() (answer, error) {
		return answer{}, stored(h.k.reopener.Reopen(ctx, []dedupe.Key{key}))
	})
	return err
}

func (h *historian) check(t *testing.T, key dedupe.Key) {
	t.Helper()
	var ops []porcupine.Operation
	for _, op := range h.ops {
		if op.Input.(call).key == key { //nolint:errcheck,forcetypeassert // its own
			ops = append(ops, op)
		}
	}
	steps := 0
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{row{}} },
		Step: func(state, input, output any) []any {
			if steps++; steps > historySteps {
				return nil
			}
			return step(state.(row), input.(call), output.(answer)) //nolint:errcheck,forcetypeassert // its own
		},
	}
	ordered := porcupine.CheckOperations(model.ToModel(), ops)
	t.Logf("%s: %d calls, %d steps", key.ID, len(ops), steps)
	switch {
	case ordered:
	case steps > historySteps:
		t.Errorf("no order of the %d calls of %s was found that explains all answers, in %d steps:\n%s", len(ops), key.ID, historySteps, tale(ops))
	default:
		t.Errorf("no order of the %d calls of %s explains all answers:\n%s", len(ops), key.ID, tale(ops))
	}
}

// step is the model's, for the checker: the rows that may be after a call, none if the row before
// does not allow its answer.
func step(r row, in call, out answer) []any {
	next, fits := r.reopen(), true
	switch {
	case in.claim != nil && out.told == (told{state: dedupe.Held}): // the holder was not seen
		next = r
	case in.claim != nil:
		var want dedupe.State
		var took bool
		next, want, took = r.claim(*in.claim, out.told.token)
		fits = r.fits(next, want, took, out.told)
		if next.token == 0 && fits && !out.lost {
			next.token = out.told.token // of a claim whose answer was lost
		}
	case in.extend:
		var want bool
		next, want = r.extend(in.nonce)
		fits = out.ok == want
	case in.settle:
		var want, certain bool
		next, want, certain = r.settle(in.nonce, in.outcome, in.letter, in.counted)
		fits = !certain || out.ok == want
	}
	switch {
	case out.lost:
		return []any{next, r}
	case fits:
		return []any{next}
	}
	return nil
}

// tale is the history in words, by time of call.
func tale(ops []porcupine.Operation) string {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, op := range ops {
		in, out := op.Input.(call), op.Output.(answer) //nolint:errcheck,forcetypeassert // its own
		what := "reopen"
		switch {
		case in.claim != nil:
			what = fmt.Sprintf("claim under %s with %.2x: %v, token %d, %d attempts, %d crashes", in.claim.nonce, in.claim.hash,
				out.told.state, out.told.token, out.told.attempts, out.told.crashes)
		case in.extend:
			what = fmt.Sprintf("extend under %s: %t", in.nonce, out.ok)
		case in.settle:
			what = fmt.Sprintf("settle under %s as %v: %t", in.nonce, in.outcome, out.ok)
		}
		fmt.Fprintf(&b, "%6d to %6d, client %d: %s (lost: %t)\n", op.Call, op.Return, op.ClientId, what, out.lost)
	}
	return b.String()
}
