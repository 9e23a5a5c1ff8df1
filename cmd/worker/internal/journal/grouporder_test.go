package journal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

// groupRecords are records, a second apart.
func groupRecords(rs ...journal.Record) []journal.Record {
	for i := range rs {
		rs[i].At = time.Unix(int64(1000+i), 0)
	}
	return rs
}

func start(id string, pid int) journal.Record {
	return journal.Record{What: journal.Start, ID: id, PID: pid, Key: "k", Attempt: 1}
}

func effect(id string, pid int) journal.Record {
	return journal.Record{What: journal.Effect, ID: id, PID: pid}
}

func never(int, time.Time, time.Time) bool { return false }

var groupSpans = map[string]journal.Span{"a": {First: 1, Last: 9}, "b": {First: 2, Last: 2}, "c": {First: 3, Last: 3}}

// First effects are judged by where the first copy of an event lies, whatever process makes them,
// and repeats do not count.
func TestFirstEffectsOfAKeyAreInOrderOverAllProcesses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		records []journal.Record
		want    []string
	}{
		"in order":              {groupRecords(start("a", 1), effect("a", 1), start("b", 2), effect("b", 2), start("c", 1), effect("c", 1)), nil},
		"a repeat":              {groupRecords(start("a", 1), effect("a", 1), start("b", 2), effect("b", 2), start("a", 2), effect("a", 2)), nil},
		"overtaken":             {groupRecords(start("b", 2), effect("b", 2), start("a", 1), effect("a", 1)), []string{"a"}},
		"overtaken by the last": {groupRecords(start("c", 2), effect("c", 2), start("a", 1), effect("a", 1), start("b", 1), effect("b", 1)), []string{"a", "b"}},
		"without an effect":     {groupRecords(start("a", 1), start("b", 2), effect("b", 2)), nil},
	} {
		if got := journal.FindGroupDisorder(c.records, groupSpans, nil, never).Inversions; !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Two processes run events of one key at once only where one of them is known to have been frozen,
// or is dead.
func TestRunsOfAKeyInTwoProcessesNeedAReason(t *testing.T) {
	t.Parallel()
	both := groupRecords(start("a", 1), start("b", 2), effect("b", 2), effect("a", 1))
	frozen := func(pid int, _, _ time.Time) bool { return pid == 1 }
	for name, c := range map[string]struct {
		records  []journal.Record
		kills    []journal.Kill
		explains func(int, time.Time, time.Time) bool
		want     []string
	}{
		"at once":          {both, nil, never, []string{"b"}},
		"one was frozen":   {both, nil, frozen, nil},
		"one was killed":   {both, []journal.Kill{{PID: 1, Sent: time.Unix(1000, 1), Gone: time.Unix(1001, 0)}}, never, nil},
		"killed later":     {both, []journal.Kill{{PID: 1, Sent: time.Unix(1002, 0), Gone: time.Unix(1002, 1)}}, never, []string{"b"}},
		"one has given up": {groupRecords(start("a", 1), journal.Record{What: journal.Cancelled, ID: "a", PID: 1}, start("a", 2)), nil, never, nil},
		"of one process":   {groupRecords(start("a", 1), start("b", 1)), nil, never, nil},
	} {
		if got := journal.FindGroupDisorder(c.records, groupSpans, c.kills, c.explains).Overlaps; !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
