package breaker_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/flow/breaker"
)

// model is a breaker without timers, waiting callers and concurrency: it looks at the clock.
type model struct {
	state     breaker.State
	limit     int
	until     time.Time
	wait      time.Duration
	failures  int
	successes int
	openings  int
	slots     map[*modelRun]bool // what counts against the limit
	fullSince time.Time
}

type modelRun struct {
	leave    func(error)
	openings int // before it began
}

const (
	modelFailures   = 3
	modelWait       = 10 * time.Second
	modelMaxWait    = 35 * time.Second
	modelProbeLimit = 7 * time.Second
	modelRampTo     = 8
)

func (m *model) advance() {
	if m.state == breaker.Open && !time.Now().Before(m.until) {
		m.state, m.limit, m.successes = breaker.HalfOpen, 1, 0
	}
	if full := m.state == breaker.HalfOpen && len(m.slots) >= m.limit; full && time.Since(m.fullSince) >= modelProbeLimit {
		clear(m.slots)
	}
}

func (m *model) enter(r *modelRun) bool {
	if m.state == breaker.Open || m.state == breaker.HalfOpen && len(m.slots) >= m.limit {
		return false
	}
	r.openings = m.openings
	m.slots[r] = true
	if len(m.slots) == m.limit {
		m.fullSince = time.Now()
	}
	return true
}

func (m *model) leave(r *modelRun, err error) {
	delete(m.slots, r)
	counts := r.openings == m.openings
	switch {
	case counts && err == errDown && m.state == breaker.Closed: //nolint:errorlint // it is not wrapped
		if m.failures++; m.failures == modelFailures {
			m.open(m.wait)
		}
	case counts && err == errDown: //nolint:errorlint // it is not wrapped
		m.open(m.wait)
	case counts && err == nil && m.state == breaker.HalfOpen:
		if m.successes++; m.successes == m.limit {
			m.limit, m.successes = 2*m.limit, 0
		}
		if m.limit >= modelRampTo {
			m.state, m.limit, m.failures, m.wait = breaker.Closed, -1, 0, modelWait
		}
	}
}

func (m *model) open(d time.Duration) {
	m.state, m.limit, m.until, m.failures = breaker.Open, 0, time.Now().Add(d), 0
	m.wait = min(max(m.wait, 2*d), modelMaxWait)
	m.openings++
	clear(m.slots)
}

func (m *model) openFor(d time.Duration) {
	if m.state != breaker.Open || time.Now().Add(d).After(m.until) {
		m.open(d)
	}
}

func TestBreakerIsAsItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) {
			b, err := breaker.New(&breaker.Options{
				Failures: modelFailures, Over: 24 * time.Hour, Wait: modelWait, MaxWait: modelMaxWait,
				ProbeLimit: modelProbeLimit, RampTo: modelRampTo, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			m := &model{limit: -1, wait: modelWait, slots: make(map[*modelRun]bool)}
			var inside []*modelRun
			enter := func(t *rapid.T) {
				r := &modelRun{leave: tryEnter(b)}
				if entered := r.leave != nil; entered != m.enter(r) {
					t.Fatalf("entered: %v", entered)
				}
				if r.leave != nil {
					inside = append(inside, r)
				}
			}
			if rapid.Bool().Draw(t, "half-open") {
				b.OpenFor(modelWait, "elsewhere")
				m.openFor(modelWait)
				time.Sleep(modelWait)
				synctest.Wait()
				m.advance()
			}
			t.Repeat(map[string]func(*rapid.T){
				"enter": enter,
				"succeed": func(t *rapid.T) {
					for range rapid.IntRange(1, 5).Draw(t, "runs") {
						r := &modelRun{leave: tryEnter(b)}
						if entered := r.leave != nil; entered != m.enter(r) {
							t.Fatalf("entered: %v", entered)
						}
						if r.leave != nil {
							r.leave(nil)
							m.leave(r, nil)
						}
					}
				},
				"leave": func(t *rapid.T) {
					if len(inside) == 0 {
						t.Skip()
					}
					i := rapid.IntRange(0, len(inside)-1).Draw(t, "run")
					err := rapid.SampledFrom([]error{nil, nil, nil, errDown, context.Canceled}).Draw(t, "result")
					inside[i].leave(err)
					inside[i].leave(errDown) // counts for nothing
					m.leave(inside[i], err)
					inside = append(inside[:i], inside[i+1:]...)
				},
				"sleep": func(t *rapid.T) {
					time.Sleep(rapid.SampledFrom([]time.Duration{1, time.Second, modelProbeLimit, modelWait, modelMaxWait}).Draw(t, "time"))
					synctest.Wait()
					m.advance()
				},
				"openFor": func(t *rapid.T) {
					d := rapid.SampledFrom([]time.Duration{time.Second, modelWait, time.Minute}).Draw(t, "for")
					b.OpenFor(d, "elsewhere")
					m.openFor(d)
				},
				"": func(t *rapid.T) {
					c, _ := b.Capacity()
					if b.State() != m.state || c.Limit != m.limit || m.state == breaker.Open && !c.Until.Equal(m.until) {
						t.Fatalf("the breaker is %v with %+v; the model %v with %d until %v", b.State(), c, m.state, m.limit, m.until)
					}
				},
			})
		})
	})
}
