package breaker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/flow/breaker"
)

// group is what the breakers of some processes share.
type group struct {
	mu       sync.Mutex
	breakers []*breaker.Breaker
	probing  *member
	openings int
	broken   error
	hangs    bool
}

// member is a group as one of its processes sees it.
type member struct {
	group *group
	index int
}

func (m *member) Open(ctx context.Context, d time.Duration, reason string) error {
	m.group.mu.Lock()
	broken, hangs := m.group.broken, m.group.hangs
	m.group.openings++
	m.group.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if broken == nil {
		for _, b := range m.group.breakers { // the own one too, as a watch would
			b.OpenFor(d, reason)
		}
	}
	return broken
}

func (m *member) AcquireProbe(ctx context.Context) (release func(), ok bool, err error) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	switch {
	case m.group.hangs:
		m.group.mu.Unlock()
		<-ctx.Done()
		m.group.mu.Lock()
		return nil, false, ctx.Err()
	case m.group.broken != nil:
		return nil, false, m.group.broken
	case m.group.probing != nil:
		return nil, false, nil
	}
	m.group.probing = m
	return func() {
		m.group.mu.Lock()
		defer m.group.mu.Unlock()
		m.group.probing = nil
	}, true, nil
}

func inGroup(t *testing.T, o breaker.Options, test func(*testing.T, *group)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &group{}
		for i := range 3 {
			o.Shared = &member{g, i}
			g.breakers = append(g.breakers, newBreaker(t, o))
		}
		test(t, g)
		for _, b := range g.breakers {
			b.Close()
		}
		if g.probing != nil {
			t.Error("the lease of the probe was not given back")
		}
	})
}

// halfOpen returns the breakers that are half-open.
func (g *group) halfOpen() (out []*breaker.Breaker) {
	synctest.Wait()
	for _, b := range g.breakers {
		if b.State() == breaker.HalfOpen {
			out = append(out, b)
		}
	}
	return out
}

func TestOpeningHoldsForTheGroup(t *testing.T) {
	inGroup(t, breaker.Options{}, func(t *testing.T, g *group) {
		open(t, g.breakers[0])
		for _, b := range g.breakers {
			wantState(t, b, breaker.Open, 0)
		}
		if g.openings != 1 {
			t.Errorf("the group was told %d times", g.openings)
		}
	})
}

func TestOneProcessOfTheGroupProbes(t *testing.T) {
	inGroup(t, breaker.Options{RampTo: 2}, func(t *testing.T, g *group) {
		open(t, g.breakers[0])
		for _, want := range []int{10, 20, 40} {
			time.Sleep(seconds(want) - 1)
			if n := len(g.halfOpen()); n != 0 {
				t.Fatalf("%d probe before %d s are over", n, want)
			}
			time.Sleep(time.Nanosecond)
			probing := g.halfOpen()
			if len(probing) != 1 {
				t.Fatalf("%d probe", len(probing))
			}
			mustEnter(t, probing[0])(errDown)
			synctest.Wait()
		}
		time.Sleep(80 * time.Second)
		for i := range g.breakers { // one after the other, a second apart at most
			probing := g.halfOpen()
			if len(probing) != 1 {
				t.Fatalf("%d probe, not the next after %d", len(probing), i)
			}
			mustEnter(t, probing[0])(nil)
			time.Sleep(time.Second)
		}
		for _, b := range g.breakers {
			wantState(t, b, breaker.Closed, -1)
		}
	})
}

func TestProcessWithoutRunsYieldsTheProbe(t *testing.T) {
	inGroup(t, breaker.Options{ProbeLimit: 3 * time.Second, RampTo: 2}, func(t *testing.T, g *group) {
		open(t, g.breakers[0])
		time.Sleep(10 * time.Second)
		idle := g.halfOpen()[0]
		hung := mustEnter(t, idle)
		time.Sleep(4*time.Second + time.Millisecond)
		others := g.halfOpen()
		if len(others) != 1 || others[0] == idle {
			t.Fatalf("%d others probe", len(others))
		}
		wantState(t, idle, breaker.Open, 0)
		hung(nil) // it was only slow
		wantState(t, idle, breaker.Closed, -1)
	})
}

func TestProcessProbesAgainAfterItYielded(t *testing.T) {
	inGroup(t, breaker.Options{ProbeLimit: 3 * time.Second}, func(t *testing.T, g *group) {
		open(t, g.breakers[0])
		g.breakers[1].OpenFor(time.Hour, "only the first one probes")
		g.breakers[2].OpenFor(time.Hour, "only the first one probes")
		time.Sleep(10 * time.Second)
		wantState(t, g.breakers[0], breaker.HalfOpen, 1)
		mustEnter(t, g.breakers[0]) // hangs
		time.Sleep(3 * time.Second)
		wantState(t, g.breakers[0], breaker.Open, 0)
		time.Sleep(2 * time.Second)
		wantState(t, g.breakers[0], breaker.HalfOpen, 1)
		mustEnter(t, g.breakers[0])(nil)
		wantState(t, g.breakers[0], breaker.HalfOpen, 2)
	})
}

func TestGroupThatDoesNotAnswerHoldsNobodyUp(t *testing.T) {
	for name, g := range map[string]*group{"fails": {broken: errors.New("no responders")}, "hangs": {hangs: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, breaker.Options{Shared: &member{group: g}, RampTo: 2})
				defer b.Close()
				begin := time.Now()
				open(t, b)
				if took := time.Since(begin); took != 0 {
					t.Errorf("leaving took %v", took)
				}
				time.Sleep(12 * time.Second)
				wantState(t, b, breaker.HalfOpen, 1)
				mustEnter(t, b)(nil)
				wantState(t, b, breaker.Closed, -1)
			})
		})
	}
}

func TestCloseEndsCallsOfTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Options{Shared: &member{group: &group{hangs: true}}, SharedTimeout: time.Minute})
		open(t, b)
		begin := time.Now()
		b.Close()
		if took := time.Since(begin); took != 0 {
			t.Errorf("closing took %v", took)
		}
	})
}

func TestLeaseThatComesTooLateIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := &lateLease{acquiring: make(chan struct{}), answer: make(chan struct{}), released: make(chan struct{})}
		b := newBreaker(t, breaker.Options{Shared: late})
		open(t, b)
		<-late.acquiring
		b.OpenFor(time.Minute, "elsewhere")
		close(late.answer)
		<-late.released
		wantState(t, b, breaker.Open, 0)
		b.Close()
	})
}

type lateLease struct{ acquiring, answer, released chan struct{} }

func (*lateLease) Open(context.Context, time.Duration, string) error { return nil }

func (l *lateLease) AcquireProbe(context.Context) (release func(), ok bool, err error) {
	close(l.acquiring)
	<-l.answer
	return func() { close(l.released) }, true, nil
}
