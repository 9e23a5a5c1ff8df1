package dedupetest

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"github.com/onceish/onceish/dedupe"
)

// scenario is a call that may be repeated. prepare makes a key ready for it, wait (or nil) lets
// time pass over all keys at once, call is it, and what it must answer.
type scenario struct {
	name    string
	needs   func(able *kit) bool
	wait    func(k *kit, t *testing.T)
	reads   bool // it may do without the driver
	prepare func(t *testing.T, k *kit, key dedupe.Key) probe
}

// probe is a prepared call. It may be called again after an error, and after none.
type probe struct {
	// call's answer holds what a repeat must answer as well.
	call func(ctx context.Context) (answer any, err error)
	// check holds the last answer and the store to what one call alone would have done.
	check func(t *testing.T, answer any)
}

func repeatCases(able *kit) []testcase {
	var all []testcase
	for _, s := range scenarios() {
		if s.needs == nil || s.needs(able) {
			all = append(all, testcase{"Repeat/" + s.name, s.twice})
		}
	}
	return all
}

func faultCases(able *kit) []testcase {
	var all []testcase
	for _, s := range scenarios() {
		if s.needs == nil || s.needs(able) {
			all = append(all,
				testcase{"Ambiguous/" + s.name, func(t *testing.T, k *kit) { s.faulty(t, k, true) }},
				testcase{"Failing/" + s.name, func(t *testing.T, k *kit) { s.faulty(t, k, false) }})
		}
	}
	return all
}

// twice repeats a call whose answer was lost on its way to the caller.
func (s scenario) twice(t *testing.T, k *kit) {
	p := s.prepare(t, k, key("a"))
	if s.wait != nil {
		s.wait(k, t)
	}
	var first any
	for i := range 3 {
		answer, err := p.call(t.Context())
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		if i == 0 {
			first = answer
		}
		if !reflect.DeepEqual(answer, first) {
			t.Errorf("call %d answers %+v, the first one %+v", i, answer, first)
		}
		if i == 2 {
			p.check(t, answer)
		}
	}
}

// faults is how many driver calls of one operation are made to fail, one at a time.
const faults = 6

// faulty has one driver call of the operation fail, each in turn, and repeats the operation
// until it answers.
func (s scenario) faulty(t *testing.T, k *kit, applied bool) {
	var probes [faults]probe
	for n := range probes {
		probes[n] = s.prepare(t, k, key(fmt.Sprintf("fault-%d", n)))
	}
	if s.wait != nil {
		s.wait(k, t)
	}
	for n, p := range probes {
		fired := k.s.Fault(n, applied)
		answer, calls, err := insist(t.Context(), p.call)
		hit := fired()
		if n == 0 && !hit && !s.reads {
			t.Errorf("the operation made no driver call that could fail: is Subject.Fault armed for it?")
		}
		if err != nil {
			t.Fatalf("driver call %d failed once, and the operation for ever, the last time with: %v", n, err)
		}
		p.check(t, answer)
		if t.Failed() {
			t.Fatalf("this was driver call %d (applied: %t, fired: %t), the operation called %d times", n, applied, hit, calls)
		}
	}
}

// insist repeats a call until it answers.
func insist(ctx context.Context, call func(ctx context.Context) (any, error)) (answer any, calls int, err error) {
	for calls = 1; calls <= 5; calls++ {
		if answer, err = call(ctx); err == nil {
			break
		}
	}
	return answer, calls, err
}

// said is what a repeated Claim must say again.
type said struct {
	State             dedupe.State
	Token             uint64
	Attempts, Crashes int
	Reason, Letter    string
}

// claimProbe wants an answer to a request, and the key to be the request's own if it won.
func (k *kit) claimProbe(r dedupe.Request, want said) probe {
	return probe{
		call: func(ctx context.Context) (any, error) {
			cs, err := k.claimer.Claim(ctx, []dedupe.Request{r})
			if err != nil {
				return nil, err
			}
			c := cs[0]
			return said{c.State, c.Token, c.Attempts, c.Crashes, c.Reason, c.Letter}, nil
		},
		check: func(t *testing.T, answer any) {
			t.Helper()
			got := answer.(said) //nolint:errcheck,forcetypeassert // its own answer
			c := dedupe.Claim{Key: r.Key, Nonce: r.Nonce, Token: got.Token}
			won := want.State == dedupe.Fresh || want.State == dedupe.DeadLettering
			if got.Token <= want.Token && won {
				t.Errorf("%s: token %d after %d: must grow", r.Key, got.Token, want.Token)
			}
			if got.Token = want.Token; got != want && (won || got.State != want.State) {
				t.Errorf("%s: %+v, want %+v", r.Key, got, want)
			}
			if !won {
				return
			}
			k.held(t, r.Key)
			k.extended(t, c, lasting, true)
			o := dedupe.Failed
			if want.State == dedupe.DeadLettering {
				o = dedupe.DeadLettered
			}
			k.settled(t, end(c, o))
			if o == dedupe.Failed {
				counts(t, k.fresh(t, r.Key), want.Attempts+1, want.Crashes)
			}
		},
	}
}

// settleProbe wants a settlement to be answered so, and then after to hold.
func (k *kit) settleProbe(s dedupe.Settlement, want bool, after func(t *testing.T)) probe {
	return probe{
		call: func(ctx context.Context) (any, error) {
			oks, err := applied(k.claimer.Settle(ctx, []dedupe.Settlement{s}))
			if err != nil {
				return nil, err
			}
			return oks[0], nil
		},
		check: func(t *testing.T, answer any) {
			t.Helper()
			if answer != want {
				t.Errorf("settlement of %s as %v: %v, want %t", s.Claim.Key, s.Outcome, answer, want)
			}
			after(t)
		},
	}
}
