package dedupetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/onceish/onceish/dedupe"
)

const walkSteps = 60

// walks compares random walks with the model, all at once and each on keys of its own, so that they
// wait together.
func walks(t *testing.T, k *kit) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	for i := range k.h.Walks {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			w := newWalker(t, k, fmt.Sprintf("walk-%d-", i), r.IntN)
			if err := w.walk(t.Context(), walkSteps); err != nil {
				t.Errorf("walk %d: %v\n%s", i, err, strings.Join(w.trace, "\n"))
			}
		})
	}
	wg.Wait()
}

// walker calls a store at random and a model alike.
type walker struct {
	t      *testing.T
	k      *kit
	choose func(n int) int
	keys   []dedupe.Key
	rows   map[dedupe.Key]row
	past   map[dedupe.Key][]dedupe.Claim // whatever was won
	reqs   map[string]dedupe.Request     // by nonce
	trace  []string
}

func newWalker(t *testing.T, k *kit, prefix string, choose func(n int) int) *walker {
	t.Helper()
	return &walker{
		t: t, k: k, choose: choose, keys: []dedupe.Key{key(prefix + "a"), key(prefix + "b")},
		rows: make(map[dedupe.Key]row), past: make(map[dedupe.Key][]dedupe.Claim), reqs: make(map[string]dedupe.Request),
	}
}

func (w *walker) walk(ctx context.Context, steps int) error {
	for range steps {
		if err := w.step(ctx); err != nil {
			return err
		}
		if err := w.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) note(format string, a ...any) { w.trace = append(w.trace, fmt.Sprintf(format, a...)) }

func (w *walker) step(ctx context.Context) error {
	key := w.keys[w.choose(len(w.keys))]
	switch w.choose(12) {
	case 0, 1, 2:
		return w.claim(ctx, w.request(key))
	case 3:
		return w.again(ctx, key)
	case 4:
		return w.extend(ctx, key)
	case 5:
		return w.mark(ctx, key)
	case 6:
		return w.reopen(ctx, key)
	default:
		return w.settle(ctx, key)
	}
}

// request is for another payload at times, and for none only where a payload is known.
func (w *walker) request(key dedupe.Key) dedupe.Request {
	r := w.k.request(key)
	switch n := w.choose(6); {
	case n == 0 && w.rows[key].hash != "":
		r.Hash = nil
	case n == 1:
		r.Hash = hashB
	}
	if w.choose(8) == 0 {
		r.Lease = w.k.h.Lease
	}
	return r
}

func (w *walker) claim(ctx context.Context, r dedupe.Request) error {
	w.note("claim %s under %s with %.2x for %v", r.Key.ID, r.Nonce, r.Hash, r.Lease)
	cs, err := w.k.claimer.Claim(ctx, []dedupe.Request{r})
	if err != nil {
		return err
	}
	before, got := w.rows[r.Key], tell(&cs[0])
	next, state, took := before.claim(asked{r.Nonce, string(r.Hash)}, got.token)
	w.note("  %v, token %d, %d attempts, %d crashes", got.state, got.token, got.attempts, got.crashes)
	if !before.fits(next, state, took, got) {
		return fmt.Errorf("answered %+v; the model says %v (won: %t) of %+v", got, state, took, next)
	}
	if took {
		w.past[r.Key] = append(w.past[r.Key], cs[0])
		w.reqs[r.Nonce] = r
	}
	if (state == dedupe.Fresh || state == dedupe.DeadLettering) && r.Lease == w.k.h.Lease {
		w.k.lapse(w.t)
		next.over = true
	}
	w.rows[r.Key] = next
	return nil
}

// again repeats the request of the present owner.
func (w *walker) again(ctx context.Context, key dedupe.Key) error {
	r, ok := w.reqs[w.rows[key].owner]
	if p := w.rows[key].place; !ok || p != claimed && p != deadLettering {
		return nil
	}
	return w.claim(ctx, r)
}

// former is a claim of the key that was won once.
func (w *walker) former(key dedupe.Key) (dedupe.Claim, bool) {
	past := w.past[key]
	if len(past) == 0 {
		return dedupe.Claim{}, false
	}
	if w.choose(3) > 0 {
		return past[len(past)-1], true
	}
	return past[w.choose(len(past))], true
}

func (w *walker) extend(ctx context.Context, key dedupe.Key) error {
	c, ok := w.former(key)
	if !ok {
		return nil
	}
	oks, err := applied(w.k.claimer.Extend(ctx, []dedupe.Claim{c}, lasting, keeping))
	if err != nil {
		return err
	}
	next, want := w.rows[key].extend(c.Nonce)
	w.note("extend %s under %s: %t", key.ID, c.Nonce, oks[0])
	if oks[0] != want {
		return fmt.Errorf("extended: %t; the model says %t of %+v", oks[0], want, next)
	}
	w.rows[key] = next
	return nil
}

func (w *walker) settle(ctx context.Context, key dedupe.Key) error {
	c, ok := w.former(key)
	if !ok {
		return nil
	}
	s := w.settlement(c)
	if r := w.rows[key]; r.place == deadLettering && s.Outcome == dedupe.GivenUp {
		return nil // whether a repetition renews the dead letter's lease is the store's affair
	}
	oks, err := applied(w.k.claimer.Settle(ctx, []dedupe.Settlement{s}))
	if err != nil {
		return err
	}
	before := w.rows[key]
	next, want, certain := before.settle(c.Nonce, s.Outcome, s.Letter, s.CountAttempt)
	w.note("settle %s under %s as %v, after %v: %t", key.ID, c.Nonce, s.Outcome, s.After, oks[0])
	if certain && oks[0] != want {
		return fmt.Errorf("settled: %t; the model says %t of %+v", oks[0], want, next)
	}
	if next != before {
		next.over = next.over && s.After == 0
		if next.place == deadLettering && s.Lease == w.k.h.Lease {
			w.k.lapse(w.t)
			next.over = true
		}
	}
	w.rows[key] = next
	return nil
}

// settlement favours what lets the key live on.
func (w *walker) settlement(c dedupe.Claim) dedupe.Settlement {
	outcomes := []dedupe.Outcome{
		dedupe.Failed, dedupe.Failed, dedupe.NotBegun, dedupe.NotBegun, dedupe.GivenUp, dedupe.DeadLettered, dedupe.Succeeded,
	}
	s := end(c, outcomes[w.choose(len(outcomes))])
	s.Letter = "letter of " + c.Nonce
	s.CountAttempt = w.choose(2) == 0
	switch w.choose(8) {
	case 0:
		s.After = lasting
	case 1, 2:
		s.Lease = w.k.h.Lease
	}
	return s
}

// mark leaves claims alone: who marks does not claim.
func (w *walker) mark(ctx context.Context, key dedupe.Key) error {
	before := w.rows[key]
	if before.place == claimed || before.place == deadLettering || before.place == free {
		return nil
	}
	m := doneMark(key)
	if w.choose(3) > 0 {
		m.State = dedupe.Dead
	}
	w.note("mark %s %v", key.ID, m.State)
	if err := stored(w.k.store.Mark(ctx, []dedupe.Mark{m})); err != nil {
		return err
	}
	w.rows[key] = before.mark(m.State, string(m.Hash))
	return nil
}

func (w *walker) reopen(ctx context.Context, key dedupe.Key) error {
	if w.k.reopener == nil {
		return nil
	}
	w.note("reopen %s", key.ID)
	if err := stored(w.k.reopener.Reopen(ctx, []dedupe.Key{key})); err != nil {
		return err
	}
	w.rows[key] = w.rows[key].reopen()
	return nil
}

// look compares what is seen of all keys.
func (w *walker) look(ctx context.Context) error {
	rs, err := w.k.store.Seen(ctx, w.keys)
	if err != nil {
		return err
	}
	for i, key := range w.keys {
		r := w.rows[key]
		if want := r.seen(); rs[i].State != want && (r.place != claimed || !r.over) {
			return fmt.Errorf("%s is seen as %v; the model says %v of %+v", key.ID, rs[i].State, want, r)
		}
	}
	return nil
}
