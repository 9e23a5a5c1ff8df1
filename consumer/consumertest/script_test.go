package consumertest_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/consumer/consumertest"
)

// action is a part of the script of a handler: an effect, by a call or without one.
type action struct {
	name    string
	isCall  bool
	isSafe  bool // it is made once for the event's key
	isGuard bool // if it was made before, the handler returns at once, as if it had done everything
}

// progress is how far a model of a handler has come with its script.
type progress struct {
	next      int
	isGuarded bool // the guard of the next action was looked at
}

// runUntil takes actions of the script until one is to be stopped at, or there are none left. It
// changes the effects that were made.
func (p *progress) runUntil(script []action, stop int, made map[string]int) {
	for ; p.next < stop; p.next++ {
		a := script[p.next]
		if p.stopsAtGuard(script, made) {
			return
		}
		p.isGuarded = false
		if !a.isSafe || made[a.name] == 0 {
			made[a.name]++
		}
	}
}

// stopsAtGuard reports whether the handler returns at the guard of the next action, at which it
// looks once.
func (p *progress) stopsAtGuard(script []action, made map[string]int) bool {
	a := script[p.next]
	if a.isGuard && made[a.name] > 0 && !p.isGuarded {
		p.next = len(script)
		return true
	}
	p.isGuarded = true
	return false
}

// predictFindings returns the points at which the script is not once, and says what becomes of each
// effect. It knows nothing of buses and stores: a fault is where a first run stops, and whether it
// goes on after the second one.
func predictFindings(script []action) map[string]string {
	end := len(script)
	found := make(map[string]string)
	predict := func(point string, stop int, isAtCall, goesOn bool) {
		made := make(map[string]int)
		var first, second progress
		first.runUntil(script, stop, made)
		if isAtCall {
			first.stopsAtGuard(script, made)
		}
		second.runUntil(script, end, made)
		if goesOn {
			first.runUntil(script, end, made)
		}
		if text := describe(script, made); text != "" {
			found[point] = text
		}
	}
	predict(freezeBeforeHandler, 0, false, true)
	for i, a := range script {
		if !a.isCall {
			continue
		}
		predict(fmt.Sprintf("freeze before call %q (event 1) until another process has handled it", a.name), i, true, true)
		predict(fmt.Sprintf("crash before call %q (event 1)", a.name), i, true, false)
		predict(fmt.Sprintf("failure of call %q (event 1)", a.name), i, true, false)
		predict(fmt.Sprintf("crash after call %q (event 1)", a.name), i+1, false, false)
		predict(fmt.Sprintf("lost answer of call %q (event 1)", a.name), i+1, false, false)
	}
	predict(crashAfterHandler, end, false, false)
	predict(crashBeforeMark, end, false, false)
	return found
}

func describe(script []action, made map[string]int) string {
	var texts []string
	for _, a := range script { // their names are in order
		switch n := made[a.name]; {
		case n > 1:
			texts = append(texts, "repeats")
		case n < 1:
			texts = append(texts, "lost")
		}
	}
	return strings.Join(texts, ", ")
}

// play runs the script as a handler.
func play(ctx context.Context, s *service, script []action) error {
	for _, a := range script {
		if a.isGuard && s.effects()[a.name] > 0 {
			return nil
		}
		key := ""
		if a.isSafe {
			key = consumer.AttemptFrom(ctx).IdempotencyKey + a.name
		}
		take := func(context.Context) error { return s.make(a.name, key) }
		var err error
		if a.isCall {
			err = consumertest.Call(ctx, a.name, take)
		} else {
			err = take(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func hasCall(script []action) bool {
	return slices.ContainsFunc(script, func(a action) bool { return a.isCall })
}

func drawScript(t *rapid.T) []action {
	script := make([]action, rapid.IntRange(1, 5).Draw(t, "actions"))
	for i := range script {
		kind := rapid.SampledFrom([]string{"safe", "safe", "unsafe", "guard"}).Draw(t, "kind")
		script[i] = action{
			name: fmt.Sprint(i), isCall: rapid.Bool().Draw(t, "call"), isSafe: kind == "safe", isGuard: kind == "guard",
		}
	}
	return script
}

// TestReportsAgreeWithAModelOfTheHandler for handlers of any mixture of effects.
func TestReportsAgreeWithAModelOfTheHandler(t *testing.T) {
	kit := consumertest.Kit{Options: &consumer.Options{Lease: 6 * time.Second, AckWait: 6 * time.Second}} // fewer ticks
	rapid.Check(t, func(r *rapid.T) {
		script := drawScript(r)
		report := explore(t, kit, []bus.Event{order("1")}, func(ctx context.Context, s *service, _ bus.Event) error {
			return play(ctx, s, script)
		})
		want := predictFindings(script)
		if got := findings(report); !maps.Equal(got, want) {
			r.Fatalf("script %+v:\nfound %q,\nwant  %q", script, got, want)
		}
		if report.Once() != (len(want) == 0 && hasCall(script)) {
			r.Fatalf("once: %v, findings %q", report.Once(), want)
		}
	})
}
