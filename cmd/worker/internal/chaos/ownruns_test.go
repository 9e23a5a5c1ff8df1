package chaos

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

// second is a time of the tests.
func second(n float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(n * float64(time.Second)))
}

// A repeat of a user's own effect is explained by what may have repeated its run, and by nothing
// else.
func TestOwnRepeatsAreExplainedByWhatRepeatedTheirRun(t *testing.T) {
	t.Parallel()
	const line = 0 // the process id of a handler's line
	at := func(n float64, pid int, what string) journal.Record {
		return journal.Record{What: what, ID: "a", PID: pid, At: second(n)}
	}
	for name, c := range map[string]struct {
		records                             []journal.Record
		unexplained, afterFailure, perKill  int
		unexplainedLoss, perRun, late, both bool
	}{
		"killed before the mark": {
			records: []journal.Record{at(1, 1, journal.Start), at(1.1, line, journal.Effect), at(3, 2, journal.Start), at(3.1, line, journal.Effect), at(3.2, 2, journal.Succeeded), at(3.3, 2, journal.Handled)},
			perKill: 1,
		},
		"one kill, three effects": {
			records: []journal.Record{at(1, 1, journal.Start), at(1.1, line, journal.Effect), at(3, 2, journal.Start), at(3.1, line, journal.Effect), at(3.1, line, journal.Effect)},
			perKill: 1, unexplained: 1, perRun: true,
		},
		"killed after the mark was known": {
			records:     []journal.Record{at(1, 1, journal.Start), at(1.1, line, journal.Effect), at(1.2, 1, journal.Succeeded), at(1.3, 1, journal.Handled), at(3, 2, journal.Start), at(3.1, line, journal.Effect)},
			unexplained: 1, late: true,
		},
		"begun after the kill": {
			records:     []journal.Record{at(3, 1, journal.Start), at(3, line, journal.Effect), at(4, 2, journal.Start), at(4, line, journal.Effect)},
			unexplained: 1, both: true,
		},
		"two effects of one run": {
			records:     []journal.Record{at(3, 2, journal.Start), at(3, line, journal.Effect), at(3, line, journal.Effect), at(3, 2, journal.Succeeded), at(3, 2, journal.Handled)},
			unexplained: 1, perRun: true,
		},
		"failed after the effect": {
			records:      []journal.Record{at(3, 2, journal.Start), at(3, line, journal.Effect), at(3, 2, journal.Failed), at(4, 2, journal.Start), at(4, line, journal.Effect), at(4, 2, journal.Succeeded)},
			afterFailure: 1,
		},
		"lost claim": {
			records: []journal.Record{at(3, 2, journal.Start), at(3, line, journal.Effect), at(5, 3, journal.Start), at(5, line, journal.Effect), at(6, 2, journal.Succeeded), at(6, 2, journal.Lost)},
		},
		"lost claim without a fault": {
			records:     []journal.Record{at(3, 2, journal.Start), at(3, line, journal.Effect), at(5, 3, journal.Start), at(5, line, journal.Effect), at(6, 2, journal.Succeeded), at(6, 2, journal.Lost)},
			unexplained: 1, unexplainedLoss: true, both: true,
		},
		"success alone": {
			records:     []journal.Record{at(3, 2, journal.Start), at(3, 2, journal.Effect), at(5, 3, journal.Start), at(5, 3, journal.Effect)},
			unexplained: 1, both: true,
		},
	} {
		o := newOwnRuns([]string{"a"})
		for i := range c.records {
			o.add(&c.records[i])
		}
		got := o.explainRepeats([]string{"a"}, &repeatReasons{
			kills: []journal.Kill{{PID: 1, Sent: second(2), Gone: second(2.1)}}, exposure: 16,
			explainsLoss: func(journal.Loss) bool { return !c.unexplainedLoss },
		})
		if got.Unexplained != c.unexplained || got.AfterFailure != c.afterFailure || got.MostPerKill != c.perKill {
			t.Errorf("%s: %+v", name, got)
		}
		if (len(got.PerRun) > 0) != c.perRun || (len(got.Late) > 0) != c.late || (len(got.Others) > 0) != c.both {
			t.Errorf("%s: named as %+v", name, got)
		}
	}
}

// A kill explains no more repeats than its process may have started and not marked.
func TestOwnKillExplainsAtMostTheExposure(t *testing.T) {
	t.Parallel()
	ids := []string{"a", "b", "c"}
	o := newOwnRuns(ids)
	for _, id := range ids {
		for _, r := range []journal.Record{
			{What: journal.Start, PID: 1, At: second(1)}, {What: journal.Effect}, {What: journal.Start, PID: 2, At: second(3)}, {What: journal.Effect},
		} {
			r.ID = id
			o.add(&r)
		}
	}
	got := o.explainRepeats(ids, &repeatReasons{kills: []journal.Kill{{PID: 1, Sent: second(2), Gone: second(2)}}, exposure: 2})
	if got.Unexplained != 1 || !slices.Equal(got.Others, []string{"c"}) || got.MostPerKill != 3 {
		t.Errorf("%+v", got)
	}
}

// A line that a killed command has torn hides no other, and what is there before is not looked at.
func TestLinesOfHandlersAreReadAsTheyGrow(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "effects")
	if err := os.WriteFile(name, []byte("run-1 of an earlier time\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := openLines(name, "run")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.close() }()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, step := range []struct {
		text    string
		ids     []string
		strange int
	}{
		{"run-1 42 cents\nrun-", []string{"run-1"}, 0},
		{"2\trefund\nru", []string{"run-2"}, 0},             // completed
		{"run-3\n  run-4\n", []string{"run-3", "run-4"}, 0}, // appended to a torn one
		{"\nnoise\n17 run-5\n", nil, 3},
	} {
		if _, err := f.WriteString(step.text); err != nil {
			t.Fatal(err)
		}
		rs, err := l.readNew()
		var ids []string
		for _, r := range rs {
			ids = append(ids, r.ID)
		}
		if err != nil || !slices.Equal(ids, step.ids) || l.strange != step.strange {
			t.Errorf("after %q: %q, %d strange, %v", step.text, ids, l.strange, err)
		}
	}
}
