package consumertest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onceish/onceish/consumer"
)

// EffectVerdict compares how often an effect was made with the run without faults.
type EffectVerdict string

const (
	// Once: as often as without faults.
	Once EffectVerdict = "once"
	// Repeats: more often.
	Repeats EffectVerdict = "repeats"
	// Lost: less often.
	Lost EffectVerdict = "lost"
	// Unexpected: it is not made without faults at all, for example because its key is a random
	// one.
	Unexpected EffectVerdict = "unexpected"
)

// Report is what CrashPoints has found out.
type Report struct {
	// Expected is how often each effect is made without faults.
	Expected map[string]int
	// Calls are the names of the calls that the handler made by Call and Transport, sorted. None
	// are seen of a handler that makes its calls without them, or not with its own context.
	Calls []string
	// Points are the runs, in the order in which the steps were reached.
	Points []PointResult
	// Skipped is the number of points that were not tried, because two runs without faults had
	// different effects. Usually 0.
	Skipped int
}

// PointResult is the run for one point.
type PointResult struct {
	// Point says what happened, and where: `crash after call "POST /charges" (event order-1)`.
	Point string
	// Reached reports whether it happened. A run in which it did not proves nothing.
	Reached bool
	// Effects has a line of each effect that was made or expected, sorted by its name.
	Effects []EffectResult
	// Letters are the dead letters of events that are handled without faults.
	Letters []*consumer.Letter
}

// EffectResult is how often an effect was made in one run.
type EffectResult struct {
	Effect          string
	Times, Expected int
	Verdict         EffectVerdict
}

// Once reports whether every point was reached, every effect was made as often as without faults at
// each of them, no event was dead-lettered, and a call was seen: without one, nothing is known of
// what the handler does between its start and its end.
func (r *Report) Once() bool {
	return len(r.Calls) > 0 && !slices.ContainsFunc(r.Points, func(p PointResult) bool { return !p.Once() })
}

// Once reports it of one point.
func (p *PointResult) Once() bool {
	return p.Reached && len(p.Letters) == 0 && !slices.ContainsFunc(p.Effects, func(e EffectResult) bool { return e.Verdict != Once })
}

// compareEffects returns a line of each effect.
func compareEffects(expected, made map[string]int) []EffectResult {
	all := maps.Clone(made)
	if all == nil {
		all = make(map[string]int)
	}
	for effect := range expected {
		all[effect] += 0
	}
	var results []EffectResult
	for _, effect := range slices.Sorted(maps.Keys(all)) {
		e := EffectResult{Effect: effect, Times: made[effect], Expected: expected[effect], Verdict: Once}
		switch {
		case e.Times == e.Expected:
		case e.Expected == 0:
			e.Verdict = Unexpected
		case e.Times > e.Expected:
			e.Verdict = Repeats
		default:
			e.Verdict = Lost
		}
		if e.Times > 0 || e.Expected > 0 {
			results = append(results, e)
		}
	}
	return results
}

// String has a line for each point that is not once, what can be done about it, and how many points
// passed.
func (r *Report) String() string {
	var b strings.Builder
	found := findings{areRunsAlike: len(r.Points) == 0 || r.Points[0].Once()}
	passed := 0
	for i := range r.Points {
		p := &r.Points[i]
		if p.Once() {
			passed++
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", p.Point, strings.Join(p.problems(), "; "))
		found.add(p)
	}
	fmt.Fprintf(&b, "%d of %d points passed", passed, len(r.Points)+r.Skipped)
	if r.Skipped > 0 {
		fmt.Fprintf(&b, "; %d were not tried, for two runs without faults differ", r.Skipped)
	}
	if len(r.Calls) > 0 {
		fmt.Fprintf(&b, "; calls seen: %s\n", strings.Join(r.Calls, ", "))
	} else {
		b.WriteString("; no calls seen: a process may die in the midst of the handler, which was not tried: " +
			"make what it calls go through consumertest.Call or Transport, with its context\n")
	}
	found.writeAdvice(&b)
	return strings.TrimSuffix(b.String(), "\n")
}

// problems says what is not once at the point.
func (p *PointResult) problems() (texts []string) {
	if !p.Reached {
		texts = append(texts, "inconclusive, it was not reached")
	}
	for _, e := range p.Effects {
		if e.Verdict != Once {
			texts = append(texts, fmt.Sprintf("%q %s: made %s instead of %s", e.Effect, e.Verdict, timesText(e.Times), timesText(e.Expected)))
		}
	}
	for _, l := range p.Letters {
		texts = append(texts, fmt.Sprintf("event %q dead-lettered: %s", l.Event.ID, l.Reason))
	}
	return texts
}

func timesText(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// findings are the kinds of what was found.
type findings struct {
	verdicts                   map[EffectVerdict]bool
	isInconclusive, hasLetters bool
	areRunsAlike               bool // those without faults
}

func (f *findings) add(p *PointResult) {
	if f.verdicts == nil {
		f.verdicts = make(map[EffectVerdict]bool)
	}
	for _, e := range p.Effects {
		f.verdicts[e.Verdict] = true
	}
	f.isInconclusive = f.isInconclusive || !p.Reached
	f.hasLetters = f.hasLetters || len(p.Letters) > 0
}

// writeAdvice says what can be done.
func (f *findings) writeAdvice(b *strings.Builder) {
	if !f.areRunsAlike {
		b.WriteString("two runs without faults differ: have setup make new what the handler and the fakes remember, such as variables of the package and sync.Once, " +
			"and derive names and keys from the event, not from chance.\n")
		return
	}
	for _, advice := range []struct {
		wanted bool
		text   string
	}{
		{f.verdicts[Repeats], "repeats: pass consumer.AttemptFrom(ctx).IdempotencyKey, which every run of an event has in common, to what makes the effect, " +
			"and have that make it once for each key"},
		{f.verdicts[Unexpected], "unexpected: the effect has another name or key than without faults: derive it from consumer.AttemptFrom(ctx).IdempotencyKey, " +
			"not from chance, the time or the attempt"},
		{f.verdicts[Lost], "lost: a later run leaves out what an earlier one has not finished, or the handler succeeds although a call has failed: " +
			"have each run repeat all steps under the idempotency key, and return the errors of calls"},
		{f.hasLetters, "dead-lettered: a later run fails for what an earlier one has done: treat what is done already as a success"},
		{f.isInconclusive, "inconclusive: the handler took another way than in the run without faults: have it do the same for the same events"},
	} {
		if advice.wanted {
			fmt.Fprintf(b, "%s.\n", advice.text)
		}
	}
}
