package journal

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// script reads records such as "start a 1 k": what, event, process, key. Each comes 10 ms after the
// one before.
func script(t *testing.T, lines ...string) (rs []Record) {
	t.Helper()
	for i, line := range lines {
		f := strings.Fields(line)
		r := Record{What: f[0], ID: f[1], PID: int(f[2][0] - '0'), At: at(10 * i)}
		if r.What == Start {
			r.Key, r.Attempt = f[3], 1
		}
		rs = append(rs, r)
	}
	return rs
}

func TestOrderOfAKeyIsCheckedWithinAProcess(t *testing.T) {
	t.Parallel()
	spans := map[string]Span{"a": {1, 1}, "b": {2, 2}, "c": {3, 9}, "d": {4, 4}}
	for name, c := range map[string]struct {
		journal   []string
		unrest    bool
		overlaps  string
		overtakes string
		inverts   string
	}{
		"one after the other":                {journal: []string{"start a 1 k", "effect a 1", "handled a 1", "start b 1 k", "effect b 1"}},
		"at the same time":                   {journal: []string{"start a 1 k", "start b 1 k", "effect a 1", "effect b 1"}, overlaps: "b"},
		"in two processes":                   {journal: []string{"start a 1 k", "start b 2 k", "effect a 1", "effect b 2"}},
		"two keys":                           {journal: []string{"start a 1 k", "start b 1 l", "effect a 1", "effect b 1"}},
		"itself at the same time":            {journal: []string{"start a 1 k", "start a 1 k"}, overlaps: "a"},
		"after a run that was cancelled":     {journal: []string{"start a 1 k", "cancelled a 1", "start b 1 k"}},
		"a new process with the same id":     {journal: []string{"start a 1 k", "ready - 1", "start b 1 k"}},
		"while it waits for its retry":       {journal: []string{"start a 1 k", "failed a 1", "start b 1 k", "effect b 1", "start a 1 k"}, overtakes: "b"},
		"the same amid faults":               {journal: []string{"start a 1 k", "failed a 1", "start b 1 k", "effect b 1", "start a 1 k"}, unrest: true},
		"an earlier one":                     {journal: []string{"start b 1 k", "failed b 1", "start a 1 k", "effect a 1", "start b 1 k"}},
		"another process has it":             {journal: []string{"start a 1 k", "failed a 1", "start b 1 k", "start a 2 k", "effect a 2", "effect b 1"}},
		"after the retry":                    {journal: []string{"start a 1 k", "failed a 1", "start a 1 k", "effect a 1", "start b 1 k"}},
		"dead meanwhile":                     {journal: []string{"start a 1 k", "failed a 1", "dead a 1", "start b 1 k", "effect b 1", "start a 1 k"}},
		"a copy of the earlier lies late":    {journal: []string{"start c 1 k", "failed c 1", "start d 1 k", "effect d 1", "start c 1 k"}},
		"in the order of their sequences":    {journal: []string{"arrived b 1", "arrived a 1", "start b 1 k", "effect b 1", "handled b 1", "start a 1 k"}},
		"a later one that arrived later":     {journal: []string{"arrived a 1", "arrived b 1", "start b 1 k", "effect b 1", "handled b 1", "start a 1 k"}, inverts: "b"},
		"the other way round":                {journal: []string{"arrived b 1", "arrived a 1", "start a 1 k", "effect a 1", "handled a 1", "start b 1 k"}},
		"of another key":                     {journal: []string{"arrived a 1", "arrived b 1", "start b 1 l", "effect b 1", "handled b 1", "start a 1 k"}},
		"in another process":                 {journal: []string{"arrived a 1", "arrived b 2", "start b 2 k", "effect b 2", "handled b 2", "start a 1 k"}},
		"given back before":                  {journal: []string{"arrived a 1", "arrived b 1", "nacked a 1", "start b 1 k", "effect b 1", "arrived a 1", "start a 1 k"}},
		"delivered again before":             {journal: []string{"arrived a 1", "arrived b 1", "start b 1 k", "effect b 1", "arrived a 1", "start a 1 k"}},
		"the later one was there before":     {journal: []string{"arrived b 1", "arrived a 1", "arrived b 1", "start b 1 k", "effect b 1", "start a 1 k"}},
		"a new process was delivered it":     {journal: []string{"arrived a 1", "ready - 1", "arrived b 1", "start b 1 k", "effect b 1", "start a 1 k"}},
		"a copy of the earlier lies late, 2": {journal: []string{"arrived c 1", "arrived d 1", "start d 1 k", "effect d 1", "start c 1 k"}},
	} {
		d := FindDisorder(script(t, c.journal...), spans, func(time.Time, time.Time) bool { return !c.unrest })
		if !slices.Equal(d.Overlaps, strings.Fields(c.overlaps)) || !slices.Equal(d.Overtakes, strings.Fields(c.overtakes)) || !slices.Equal(d.Inversions, strings.Fields(c.inverts)) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
