package journal

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func at(ms int) time.Time { return time.Unix(1_000_000, 0).Add(time.Duration(ms) * time.Millisecond) }

func did(id string, pid, ms int) Record { return Record{What: Effect, ID: id, PID: pid, At: at(ms)} }

// A repeat is explained by a claim that its first process lost, and by no other's.
func TestLostClaimExplainsARepeat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pid, repeats, mystery int }{{1, 1, 0}, {2, 1, 1}, {1, 2, 1}} {
		b := NewTally([]string{"a"})
		b.Add([]Record{did("a", 1, 0), {What: Lost, ID: "a", PID: c.pid, At: at(50)}})
		for range c.repeats {
			b.Add([]Record{did("a", 1, 2000)})
		}
		if n, _ := b.CountUnexplained(nil, 16); n != c.mystery {
			t.Errorf("%+v: %d unexplained", c, n)
		}
	}
}

// A frozen process may make its effect after its successor has: one of the two is explained by the
// claim that was lost, and no third one.
func TestLostClaimExplainsALateEffect(t *testing.T) {
	t.Parallel()
	late := []Record{did("a", 2, 0), {What: Handled, ID: "a", PID: 2, At: at(1)}, did("a", 1, 2000), {What: Lost, ID: "a", PID: 1, At: at(2001)}}
	b := NewTally([]string{"a"})
	b.Add(late)
	if r := b.ExplainRepeats(Causes{Concurrency: 16}); r.Unexplained != 0 || r.LossesUnexplained != 0 {
		t.Errorf("%+v", r)
	}
	if r := b.ExplainRepeats(Causes{Concurrency: 16, ExplainsLoss: func(Loss) bool { return false }}); r.Unexplained != 1 || r.LossesUnexplained != 1 || r.IDs[0] != "a" {
		t.Errorf("a loss without a reason: %+v", r)
	}
	b.Add([]Record{did("a", 3, 4000)})
	if r := b.ExplainRepeats(Causes{Concurrency: 16}); r.Unexplained != 1 {
		t.Errorf("a third effect: %+v", r)
	}
}

// A run that begins after the event's mark is found, also if it makes no effect, unless its process
// may have lost its claim between claim and run.
func TestRunAfterTheMarkIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		journal string
		fault   bool
		found   bool
	}{
		"done":           {journal: "start a 1 k, effect a 1, handled a 1, start a 2 k, failed a 2", found: true},
		"dead":           {journal: "start a 1 k, failed a 1, dead a 1, start a 2 k, failed a 2, dead a 2", found: true},
		"not marked yet": {journal: "start a 1 k, effect a 1, start a 2 k, effect a 2, handled a 2"},
		"failed before":  {journal: "start a 1 k, failed a 1, start a 2 k, effect a 2, handled a 2"},
		"another event":  {journal: "start a 1 k, effect a 1, handled a 1, start b 2 k"},
		"frozen":         {journal: "start a 1 k, effect a 1, handled a 1, start a 2 k, lost a 2", fault: true},
	} {
		b := NewTally([]string{"a", "b"})
		b.Add(script(t, strings.Split(c.journal, ", ")...))
		r := b.ExplainRepeats(Causes{Concurrency: 16, ExplainsLoss: func(l Loss) bool { return c.fault && l.PID == 2 }})
		if found := slices.Equal(r.Reruns, []string{"a"}); found != c.found || !found && len(r.Reruns) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A process that is killed while it is frozen or cut off cannot write down that it has lost
// a claim.
func TestFaultBeforeAKillExplainsWhatTheProcessCouldNotSay(t *testing.T) {
	t.Parallel()
	kills := []Kill{{PID: 1, Sent: at(5000), Gone: at(5001)}}
	for name, effects := range map[string][]Record{
		"its successor's came before the kill": {did("a", 1, 0), did("a", 2, 3000), {What: Handled, ID: "a", PID: 2, At: at(3001)}},
		"its own came last":                    {did("a", 2, 3000), {What: Handled, ID: "a", PID: 2, At: at(3001)}, did("a", 1, 4000)},
	} {
		for _, fault := range []bool{true, false} {
			b := NewTally([]string{"a"})
			b.Add([]Record{{What: Start, ID: "a", PID: 1, At: at(-10), Key: "k", Attempt: 1}})
			b.Add(effects)
			r := b.ExplainRepeats(Causes{Kills: kills, Concurrency: 16, ExplainsLoss: func(l Loss) bool { return fault && l.PID == 1 && l.From.Equal(at(-10)) }})
			if explained := r.Unexplained == 0; explained != fault {
				t.Errorf("%s, a fault: %v: %+v", name, fault, r)
			}
		}
	}
}
