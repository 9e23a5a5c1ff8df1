package demo

import (
	"reflect"
	"testing"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	const events, kills = 2000, 5
	p := newPlan(7, events, kills)
	if !reflect.DeepEqual(p, newPlan(7, events, kills)) || reflect.DeepEqual(p, newPlan(8, events, kills)) {
		t.Error("a seed does not decide, or decides nothing")
	}
	times, known := map[string]int{}, map[string]bool{}
	for i, part := range p.portions {
		before := len(known)
		for _, id := range part.messages {
			times[id]++
			known[id] = true
		}
		if last := i == kills; last && part.kill != events || !last && (part.kill < before || part.kill >= len(known)) {
			t.Errorf("portion %d: a kill at %d effects, and its events are %d to %d", i, part.kill, before, len(known))
		}
	}
	published := map[int]int{}
	for _, n := range times {
		published[n]++
	}
	if len(known) != events || published[1]+published[2]+published[3] != events || len(p.messages) != events+published[2]+2*published[3] {
		t.Errorf("%d events: %v, %d messages", len(known), published, len(p.messages))
	}
	if published[2] < events/10 || published[3] < events/50 {
		t.Errorf("%d twice, %d thrice", published[2], published[3])
	}
	failing, again := 0, 0
	for _, id := range p.ids {
		if _, fails := runFate(7, id, 1); fails {
			failing++
			if _, fails := runFate(7, id, 2); fails {
				again++
			}
		}
	}
	if failing < events/100 || failing > events/25 || again > failing/4 {
		t.Errorf("%d of %d runs fail, %d of them again", failing, events, again)
	}
}

func TestEachEventMayHaveItsKill(t *testing.T) {
	t.Parallel()
	for events := 1; events < 20; events++ {
		for seed := range uint64(20) {
			p := newPlan(seed, events, events)
			n := 0
			for _, part := range p.portions {
				n += len(part.messages)
			}
			if n != len(p.messages) || len(p.portions) != events+1 {
				t.Fatalf("%d of %d messages in %d portions", n, len(p.messages), len(p.portions))
			}
		}
	}
}
