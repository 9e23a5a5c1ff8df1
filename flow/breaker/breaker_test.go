package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/flow/breaker"
)

func TestOutageCostsOnlyTheProbesAfterItOpened(t *testing.T) {
	inBubble(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		begin := time.Now()
		var before, probes atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				for ctx.Err() == nil {
					leave, err := b.Enter(ctx)
					if err != nil {
						return
					}
					var result error
					if started := time.Since(begin); started <= time.Millisecond {
						before.Add(1)
						result = errDown
					} else if started < time.Minute {
						probes.Add(1)
						result = errDown
					}
					time.Sleep(time.Millisecond)
					leave(result)
				}
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := before.Load(); n > 54 { // 50 at once, and for 4 of them another before the fifth failed
			t.Errorf("%d runs before it opened", n)
		}
		if n := probes.Load(); n != 2 { // after 10 s and 20 s more
			t.Errorf("%d attempts after it opened, not those of 2 probes", n)
		}
		time.Sleep(10*time.Second + 100*time.Millisecond)
		wantState(t, b, breaker.Closed, -1)
		cancel()
		callers.Wait()
	})
}

func TestBreakerOpensAfterFailuresWithinItsWindow(t *testing.T) {
	inBubble(t, breaker.Options{Failures: 3, Over: 10 * time.Second}, func(t *testing.T, b *breaker.Breaker) {
		for range 20 { // two within any 10 s
			mustEnter(t, b)(errDown)
			mustEnter(t, b)(nil)
			time.Sleep(5*time.Second + time.Millisecond)
		}
		wantState(t, b, breaker.Closed, -1)
		mustEnter(t, b)(errDown)
		mustEnter(t, b)(errDown)
		c, _ := b.Capacity()
		if want := "breaker open after 3 failures in 10s, the last: connection refused"; c.Reason != want {
			t.Errorf("the reason is %q, not %q", c.Reason, want)
		}
		if want := time.Now().Add(10 * time.Second); c.Limit != 0 || !c.Until.Equal(want) {
			t.Errorf("the capacity is %+v, not 0 until %v", c, want)
		}
	})
}

func TestOneKeyDoesNotOpenTheBreakerAlone(t *testing.T) {
	inBubble(t, breaker.Options{KeyOf: testKeyOf}, func(t *testing.T, b *breaker.Breaker) {
		for range 100 {
			mustEnter(t, b, "poison")(errDown)
			time.Sleep(7 * time.Second)
		}
		wantState(t, b, breaker.Closed, -1)
		mustEnter(t, b, "poison")(errDown)
		for i := range 4 {
			wantState(t, b, breaker.Closed, -1)
			mustEnter(t, b, fmt.Sprint(i))(errDown)
		}
		wantState(t, b, breaker.Open, 0)
	})
}

func TestOneKeyDoesNotKeepTheRampFromEnding(t *testing.T) {
	inBubble(t, breaker.Options{KeyOf: testKeyOf, RampTo: 4}, func(t *testing.T, b *breaker.Breaker) {
		open(t, b)
		waitHalfOpen(t, b)
		mustEnter(t, b)(nil)
		mustEnter(t, b, "poison")(errDown)
		wantState(t, b, breaker.Open, 0)
		waitHalfOpen(t, b)
		mustEnter(t, b, "poison")(errDown) // as a probe it counts
		wantState(t, b, breaker.Open, 0)
		waitHalfOpen(t, b)
		mustEnter(t, b)(nil)
		mustEnter(t, b, "poison")(errDown)
		mustEnter(t, b)(nil)
		mustEnter(t, b)(nil)
		wantState(t, b, breaker.Closed, -1)
	})
}

func TestBreakerBecomesHalfOpenWhileNobodyEnters(t *testing.T) {
	inBubble(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		open(t, b)
		_, changed := b.Capacity()
		time.Sleep(10*time.Second - 1)
		wantState(t, b, breaker.Open, 0)
		time.Sleep(time.Nanosecond)
		<-changed
		wantState(t, b, breaker.HalfOpen, 1)
	})
}

func TestHalfOpenLetsExactlyOneIn(t *testing.T) {
	inBubble(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		open(t, b)
		var entered atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				if leave, err := b.Enter(ctx); err == nil {
					entered.Add(1)
					<-ctx.Done()
					leave(ctx.Err())
				}
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := entered.Load(); n != 1 {
			t.Errorf("%d of 100 entered", n)
		}
		cancel()
		callers.Wait()
	})
}

func TestWaitingCallersEnterInOrder(t *testing.T) {
	inBubble(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		open(t, b)
		var order []int
		for i := range 10 {
			go func() {
				if leave, err := b.Enter(t.Context()); err == nil {
					order = append(order, i)
					leave(context.Canceled)
				}
			}()
			synctest.Wait()
		}
		waitHalfOpen(t, b)
		synctest.Wait()
		if len(order) != 10 || !slices.IsSorted(order) {
			t.Errorf("they entered in the order %v", order)
		}
	})
}

func TestRampDoublesUntilItCloses(t *testing.T) {
	inBubble(t, breaker.Options{RampTo: 32}, func(t *testing.T, b *breaker.Breaker) {
		open(t, b)
		waitHalfOpen(t, b)
		for limit := 1; limit < 32; limit *= 2 {
			wantState(t, b, breaker.HalfOpen, limit)
			var leaves []func(error)
			for range limit {
				leaves = append(leaves, mustEnter(t, b))
			}
			if tryEnter(b) != nil {
				t.Fatalf("more than %d entered", limit)
			}
			for _, leave := range leaves {
				leave(nil)
			}
		}
		wantState(t, b, breaker.Closed, -1)
	})
}

func TestFailureDuringTheRampOpensIt(t *testing.T) {
	inBubble(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		open(t, b)
		waitHalfOpen(t, b)
		mustEnter(t, b)(nil)
		other := mustEnter(t, b)
		mustEnter(t, b)(errDown)
		wantState(t, b, breaker.Open, 0)
		other(nil) // of before
		wantState(t, b, breaker.Open, 0)
		if waited := waitHalfOpen(t, b); waited != 20*time.Second {
			t.Errorf("it was open for %v, not 20 s", waited)
		}
	})
}

func TestWaitDoublesToItsLimitAndClosingResetsIt(t *testing.T) {
	inBubble(t, breaker.Options{RampTo: 1, MaxWait: time.Minute}, func(t *testing.T, b *breaker.Breaker) {
		for range 2 {
			open(t, b)
			for _, want := range []int{10, 20, 40, 60, 60} {
				if waited := waitHalfOpen(t, b); waited != seconds(want) {
					t.Errorf("it was open for %v, not %d s", waited, want)
				}
				mustEnter(t, b)(errDown)
			}
			waitHalfOpen(t, b)
			mustEnter(t, b)(nil)
			wantState(t, b, breaker.Closed, -1)
		}
	})
}

func TestLateResultsDoNotCount(t *testing.T) {
	inBubble(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		var late []func(error)
		for range 10 {
			late = append(late, mustEnter(t, b))
		}
		open(t, b)
		late[0](nil)
		late[1](errDown)
		wantState(t, b, breaker.Open, 0)
		waitHalfOpen(t, b)
		late[2](nil)
		wantState(t, b, breaker.HalfOpen, 1)
		late[3](errDown)
		wantState(t, b, breaker.HalfOpen, 1)
		probe := mustEnter(t, b)
		late[4](nil)
		if tryEnter(b) != nil {
			t.Error("a run of before made room for a second probe")
		}
		probe(nil)
		wantState(t, b, breaker.HalfOpen, 2)
		for range 14 {
			mustEnter(t, b)(nil)
		}
		wantState(t, b, breaker.Closed, -1)
		for _, leave := range late[5:] {
			leave(errDown)
		}
		wantState(t, b, breaker.Closed, -1)
	})
}

func TestProbeThatIsGivenBackDoesNotStick(t *testing.T) {
	notMine := errors.New("not the receiver's")
	o := breaker.Options{IsFailure: func(err error) bool { return errors.Is(err, errDown) }}
	inBubble(t, o, func(t *testing.T, b *breaker.Breaker) {
		open(t, b)
		waitHalfOpen(t, b)
		for range 10 {
			mustEnter(t, b)(context.Canceled)
			mustEnter(t, b)(notMine)
			wantState(t, b, breaker.HalfOpen, 1)
		}
		mustEnter(t, b)(nil)
		wantState(t, b, breaker.HalfOpen, 2)
	})
}

func TestProbeThatNeverEndsDoesNotStick(t *testing.T) {
	inBubble(t, breaker.Options{ProbeLimit: 3 * time.Second}, func(t *testing.T, b *breaker.Breaker) {
		open(t, b)
		waitHalfOpen(t, b)
		time.Sleep(time.Hour) // nobody comes
		hung := mustEnter(t, b)
		time.Sleep(3*time.Second - 1)
		synctest.Wait()
		if tryEnter(b) != nil {
			t.Fatal("a second probe before the first one's time was over")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		second := mustEnter(t, b)
		if tryEnter(b) != nil {
			t.Fatal("two probes at once besides the one that hangs")
		}
		second(context.Canceled)
		hung(nil) // it was only slow
		wantState(t, b, breaker.HalfOpen, 2)
		mustEnter(t, b)
		mustEnter(t, b)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		mustEnter(t, b)(nil)
		mustEnter(t, b)(nil)
		wantState(t, b, breaker.HalfOpen, 4)
	})
}

func TestLeavingTwiceCountsOnce(t *testing.T) {
	inBubble(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		leave := mustEnter(t, b)
		for range 10 {
			leave(errDown)
		}
		wantState(t, b, breaker.Closed, -1)
		for range 4 {
			mustEnter(t, b)(errDown)
		}
		waitHalfOpen(t, b)
		probe := mustEnter(t, b)
		probe(context.Canceled)
		probe(context.Canceled)
		mustEnter(t, b)
		if tryEnter(b) != nil {
			t.Error("two probes at once")
		}
	})
}

func TestEnterEndsWithItsContext(t *testing.T) {
	inBubble(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		open(t, b)
		why := errors.New("given up")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		if leave, err := b.Enter(ctx); !errors.Is(err, why) || leave != nil {
			t.Errorf("got %v", err)
		}
		waitHalfOpen(t, b)
		mustEnter(t, b) // the one that gave up takes no room
	})
}

func TestOpenForNeverShortens(t *testing.T) {
	inBubble(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		b.OpenFor(0, "nothing")
		wantState(t, b, breaker.Closed, -1)
		b.OpenFor(30*time.Second, "elsewhere")
		b.OpenFor(5*time.Second, "shorter")
		if c, _ := b.Capacity(); c.Reason != "elsewhere" {
			t.Errorf("the reason is %q", c.Reason)
		}
		time.Sleep(10 * time.Second)
		b.OpenFor(40*time.Second, "longer")
		if waited := waitHalfOpen(t, b); waited != 40*time.Second {
			t.Errorf("it was open for %v more, not 40 s", waited)
		}
		mustEnter(t, b)(errDown)
		if waited := waitHalfOpen(t, b); waited != 80*time.Second {
			t.Errorf("after a failed probe it was open for %v, not twice as long", waited)
		}
	})
}

func TestOnChangeSeesEveryState(t *testing.T) {
	var seen []string
	o := breaker.Options{RampTo: 4, OnChange: func(s breaker.State, c flow.Capacity) { seen = append(seen, fmt.Sprint(s, c.Limit)) }}
	inBubble(t, o, func(t *testing.T, b *breaker.Breaker) {
		open(t, b)
		waitHalfOpen(t, b)
		mustEnter(t, b)(errDown)
		waitHalfOpen(t, b)
		for range 3 {
			mustEnter(t, b)(nil)
		}
		if got, want := strings.Join(seen, ", "), "open 0, half-open 1, open 0, half-open 1, closed -1"; got != want {
			t.Errorf("it was %s, not %s", got, want)
		}
	})
}

func TestClosedBreakerStaysAsItIs(t *testing.T) {
	inBubble(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		open(t, b)
		b.Close()
		b.Close()
		time.Sleep(time.Hour)
		wantState(t, b, breaker.Open, 0)
	})
}

func TestNewNamesWhatIsOutOfRange(t *testing.T) {
	for want, o := range map[string]breaker.Options{
		"Options.Failures is -1: it must be from 1 to 10000":    {Failures: -1},
		"Options.Over is 1ms: it must be from 10ms to 24h0m0s":  {Over: time.Millisecond},
		"Options.Wait is -1s: it must be from 1ms to 24h0m0s":   {Wait: -time.Second},
		"Options.MaxWait is 5s: it must be from 10s to 24h0m0s": {MaxWait: 5 * time.Second},
		"Options.RampTo is -1: it must be from 1 to 100000":     {RampTo: -1},
		"Options.ProbeLimit is -1ns: it must be from":           {ProbeLimit: -1},
		"Options.SharedTimeout is 1h0m0s: it must be from":      {SharedTimeout: time.Hour},
	} {
		if _, err := breaker.New(&o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	b, err := breaker.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}
