package flow

import (
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// exactModel is a limit that remembers every start, and computes with fractions.
type exactModel struct {
	rate   Rate
	starts []int64
	tokens *big.Rat
	at     int64
}

func (m *exactModel) startsIn(from, to int64) (n int) {
	for _, s := range m.starts {
		if from <= s && s < to {
			n++
		}
	}
	return n
}

// room is how many may start: not a whole number for buckets and sliding windows.
func (m *exactModel) room(now int64) *big.Rat {
	per, limit := int64(m.rate.Per), int64(m.rate.Limit)
	window := now - now%per
	switch m.rate.Strategy {
	case TokenBucket:
		refill := new(big.Rat).Mul(big.NewRat(now-m.at, per), big.NewRat(limit, 1))
		m.tokens.Add(m.tokens, refill)
		if full := big.NewRat(int64(m.rate.capacity()), 1); m.tokens.Cmp(full) > 0 {
			m.tokens = full
		}
		m.at = now
		return m.tokens
	case FixedWindow:
		return big.NewRat(limit-int64(m.startsIn(window, now+1)), 1)
	case SlidingWindow:
		before := new(big.Rat).Mul(big.NewRat(per-(now-window), per), big.NewRat(int64(m.startsIn(window-per, window)), 1))
		return before.Sub(big.NewRat(limit-int64(m.startsIn(window, now+1)), 1), before)
	default:
		return big.NewRat(limit-int64(m.startsIn(now-per+1, now+1)), 1)
	}
}

func (m *exactModel) take(now int64, n int) {
	for range n {
		m.starts = append(m.starts, now)
	}
	if m.rate.Strategy == TokenBucket {
		m.tokens.Sub(m.tokens, big.NewRat(int64(n), 1))
	}
}

func drawRate(t *rapid.T, strategy Strategy) Rate {
	r := Rate{
		Strategy: strategy,
		Limit:    rapid.IntRange(1, 12).Draw(t, "limit"),
		Per:      time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(3*time.Second)).Draw(t, "per")),
	}
	if strategy == TokenBucket {
		r.Burst = rapid.IntRange(0, 15).Draw(t, "burst")
	}
	return r
}

// Arrivals are at random times, with pauses in which a limit could forget that it is one. An answer
// may differ from the model's only where the model is within a rounding of the bound.
func TestStrategiesDoWhatTheExactModelDoes(t *testing.T) {
	t.Parallel()
	for _, strategy := range []Strategy{TokenBucket, FixedWindow, SlidingWindow, SlidingLog} {
		t.Run(strategy.String(), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				r := drawRate(t, strategy)
				now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC).UnixNano()
				state := newState(&r, now)
				model := &exactModel{rate: r, tokens: big.NewRat(int64(r.capacity()), 1), at: now}
				for range rapid.IntRange(1, 60).Draw(t, "arrivals") {
					now += arrivalGap(t, &r)
					n := rapid.IntRange(1, r.capacity()).Draw(t, "n")
					room := model.room(now)
					taken, wait := state.takeStarts(&r, now, now, n, n)
					gap, _ := new(big.Rat).Sub(room, big.NewRat(int64(n), 1)).Float64()
					if allowed := gap >= 0; allowed != (taken == n) && (gap > 2*rounding || gap < -2*rounding) {
						t.Fatalf("%+v: %d starts are allowed: %v, room for %v", r, n, taken == n, room)
					}
					if (wait == 0) != (taken == n) {
						t.Fatalf("%d of %d taken, retry after %v", taken, n, wait)
					}
					if taken == n {
						model.take(now, n)
					} else {
						verifyWait(t, &r, state, now, wait, n)
					}
				}
			})
		})
	}
}

func arrivalGap(t *rapid.T, r *Rate) int64 {
	per := int64(r.Per)
	return rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 2*per/int64(r.Limit)), rapid.Int64Range(0, per), rapid.Int64Range(0, 5*per),
		rapid.Just(per), rapid.Just(per-1)).Draw(t, "gap")
}

// verifyWait wants the wait to be long enough, and not longer than needed.
func verifyWait(t *rapid.T, r *Rate, s limitState, now int64, wait time.Duration, n int) {
	s.log = slices.Clone(s.log)
	early := now + int64(wait)*99/100 - int64(2*rounding*float64(r.Per)) - 1
	if s := s; early > now {
		if taken, _ := s.takeStarts(r, early, early, n, n); taken > 0 {
			t.Fatalf("%+v: %d start before the wait of %v is over", r, n, wait)
		}
	}
	after := now + int64(wait)
	if taken, again := s.takeStarts(r, after, after, n, n); taken != n {
		t.Fatalf("%+v: after the wait of %v there is another of %v", r, wait, again)
	}
}

// Right after a change no more may start than before, but for what a larger limit of windows or a
// shorter time of a log adds.
func TestChangesOfRatesMakeNoBurst(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		strategy := Strategy(rapid.IntRange(0, 3).Draw(t, "strategy"))
		r := drawRate(t, strategy)
		now := int64(time.Hour)
		state := newState(&r, now)
		for range rapid.IntRange(1, 30).Draw(t, "changes") {
			now += arrivalGap(t, &r)
			state.takeStarts(&r, now, now, 0, rapid.IntRange(0, r.capacity()).Draw(t, "n"))
			left := state.free(&r, now)
			next := drawRate(t, Strategy(rapid.IntRange(0, 3).Draw(t, "next")))
			state.convertRate(&r, &next, now)
			windows := r.Strategy != TokenBucket && next.Strategy != TokenBucket
			most := min(left, next.capacity())
			switch {
			case r.Strategy == SlidingLog && next.Strategy == SlidingLog: // what is longer ago than Per is over
				most = max(0, next.Limit-state.count)
			case windows: // there what is used stays used
				most = max(most, next.Limit-(r.Limit-left))
			}
			if free := state.free(&next, max(now, state.at)); free > most {
				t.Fatalf("%+v with %d left became %+v with %d left", r, left, next, free)
			}
			r = next
		}
	})
}

// Whatever state is stored, it is read back as it was; and a state that calls itself fresh does
// what a new one does.
func TestRowsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := drawRate(t, Strategy(rapid.IntRange(0, 3).Draw(t, "strategy")))
		now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC).UnixNano()
		state := newState(&r, now)
		for range rapid.IntRange(0, 10).Draw(t, "arrivals") {
			now += arrivalGap(t, &r)
			state.takeStarts(&r, now, now+100, 0, rapid.IntRange(0, r.capacity()).Draw(t, "n"))
		}
		rate, back, err := decodeRow(encodeRow(&r, &state), now)
		if err != nil || rate != r || back.at != state.at || back.tokens != state.tokens || back.count != state.count || !slices.Equal(back.log, state.log) {
			t.Fatalf("%+v of %+v became %+v of %+v (%v)", state, r, back, rate, err)
		}
		fresh := max(now, state.freshAt(&r))
		state.advance(&r, fresh)
		if free := state.free(&r, fresh); free != r.capacity() {
			t.Fatalf("%+v is fresh with %d of %d left", state, free, r.capacity())
		}
	})
}

// A server's clock may be set back: a limit then neither opens nor takes back what it let start.
func TestTimeOfALimitNeverRunsBackwards(t *testing.T) {
	t.Parallel()
	for _, strategy := range []Strategy{TokenBucket, FixedWindow, SlidingWindow, SlidingLog} {
		r := Rate{Limit: 10, Per: time.Second, Strategy: strategy}
		now := int64(time.Hour)
		state := newState(&r, now)
		state.takeStarts(&r, now, now, 4, 4)
		back := now - int64(30*time.Minute)
		if taken, _ := state.takeStarts(&r, back, back, 0, 10); taken != 6 {
			t.Errorf("%v: half an hour back %d start, want the 6 that are left", strategy, taken)
		}
		if taken, _ := state.takeStarts(&r, now, now, 0, 10); taken != 0 {
			t.Errorf("%v: %d start once more", strategy, taken)
		}
	}
}

func FuzzDecodeRow(f *testing.F) {
	now := int64(1e18)
	for s := range strategyNames {
		r := Rate{Limit: 3, Per: time.Second, Strategy: Strategy(s)}
		state := exhaustedState(&r, now)
		f.Add(encodeRow(&r, &state))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, s, err := decodeRow(data, now)
		if err != nil {
			return
		}
		to := Rate{Limit: 10, Per: time.Second}
		s.convertRate(&r, &to, now)
		if taken, wait := s.takeStarts(&to, now, now, 1, 1); taken == 0 && (wait <= 0 || wait > maxPer+maxAhead) {
			t.Errorf("%+v: a wait of %v", s, wait)
		}
	})
}
