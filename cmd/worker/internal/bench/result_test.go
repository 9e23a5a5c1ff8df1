package bench

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// evenly is a tally of a cell whose events were completed evenly over so many milliseconds, each 2
// ms after it was due.
func evenly(t *testing.T, c *cell, took int64) *tally {
	t.Helper()
	counted := newTally(c)
	counted.Latencies[dueToHandler], counted.Latencies[handlerToAcked] = newLatency(), newLatency()
	counted.First = 1_000_000 * timelineWidth
	for i := range int64(c.Events) {
		counted.Last = counted.First + i*took*timelineWidth/int64(c.Events)
		counted.Completed.add(counted.Last, 1)
		for s, l := range counted.Latencies {
			if err := l.record(int64(2 * time.Millisecond)); err != nil {
				t.Fatal(s, err)
			}
		}
		counted.Runs[i] = 1
	}
	return counted
}

func TestSaturatedRowHasNoLatencySinceAnEventWasDue(t *testing.T) {
	t.Parallel()
	for took, saturated := range map[int64]bool{2000: false, 2030: false, 2060: true, 9000: true} {
		c := &cell{Stage: StageConsume, Loop: LoopOnceish, Events: 2000, Rate: 1000}
		row, err := newRow(c, evenly(t, c, took))
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		for _, l := range row.Latencies {
			steps = append(steps, l.From)
		}
		want := []string{"due", "handler"}
		if saturated {
			want = want[1:]
		}
		if row.Saturated != saturated || !slices.Equal(steps, want) {
			t.Errorf("%d events of 2000 in %d ms: %v a second, saturated %v, latencies from %q", c.Events, took, row.PerSecond, row.Saturated, steps)
		}
	}
	r, err := Run(within(t), &Options{Bus: BusMemory, Stage: StagePublish, Events: 20_000, Rate: maxRate})
	if err != nil || !r.Rows[0].Saturated || r.Summary[0].Saturated != 1 || len(r.Rows[0].Latencies) != 0 {
		t.Errorf("%+v, %v", r.Summary, err)
	}
}

func TestSummaryHasMedianAndRange(t *testing.T) {
	t.Parallel()
	row := func(loop string, run int, rate, p99 float64) Row {
		return Row{Stage: StageConsume, Loop: loop, Run: run, PerSecond: rate, Latencies: []LatencyRow{{From: "handler", To: "acked", Unit: "ms", N: 10, P99: p99}}}
	}
	all := summarize([]Row{
		row(LoopBaseline, 1, 100, 1), row(LoopOnceish, 1, 50, 3), row(LoopOnceish, 2, 90, 9), row(LoopBaseline, 2, 100, 1),
		row(LoopBaseline, 3, 400, 1), row(LoopOnceish, 3, 80, 4),
	})
	if len(all) != 2 || all[1].Loop != LoopOnceish || all[1].Runs != 3 || all[0].Ratio != nil {
		t.Fatalf("%+v", all)
	}
	if s := all[1]; s.PerSecond != (Spread{80, 50, 90}) || *s.Ratio != (Spread{0.5, 0.2, 0.9}) || s.Latencies[0].P99 != (Spread{4, 3, 9}) || s.Latencies[0].N != 30 {
		t.Errorf("%+v", s)
	}
}

// goldenKeys are the paths in the JSON of a result. Programs read them.
const goldenKeys = `environment.arch environment.bus environment.cores environment.go environment.onceish environment.os environment.store
left_out[].reason left_out[].stage
load.concurrency load.duplicates load.events load.keys load.processes load.rate_per_second load.runs load.seed load.size_bytes
rows[].duplicates rows[].latencies[].avg rows[].latencies[].from rows[].latencies[].histogram rows[].latencies[].max rows[].latencies[].min
rows[].latencies[].n rows[].latencies[].p50 rows[].latencies[].p90 rows[].latencies[].p99 rows[].latencies[].p999 rows[].latencies[].to
rows[].latencies[].unit rows[].loop rows[].mps rows[].ms rows[].offered_mps rows[].published rows[].redelivered rows[].run rows[].stage
rows[].warm_up
summary[].duplicates summary[].latencies[].from summary[].latencies[].max.max summary[].latencies[].max.median summary[].latencies[].max.min
summary[].latencies[].min.max summary[].latencies[].min.median summary[].latencies[].min.min summary[].latencies[].n
summary[].latencies[].p50.max summary[].latencies[].p50.median summary[].latencies[].p50.min summary[].latencies[].p90.max
summary[].latencies[].p90.median summary[].latencies[].p90.min summary[].latencies[].p99.max summary[].latencies[].p99.median
summary[].latencies[].p99.min summary[].latencies[].p999.max summary[].latencies[].p999.median summary[].latencies[].p999.min
summary[].latencies[].to summary[].latencies[].unit summary[].loop summary[].mps.max summary[].mps.median summary[].mps.min summary[].redelivered
summary[].runs summary[].saturated summary[].stage`

func TestJSONHasTheKeysThatProgramsRead(t *testing.T) {
	t.Parallel()
	c := &cell{Stage: StageConsume, Loop: LoopOnceish, Run: 1, Events: 200, Rate: 100}
	row, err := newRow(c, evenly(t, c, 2000))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(Result{Rows: []Row{row}, Summary: summarize([]Row{row}), LeftOut: []LeftOut{{Stage: StageOutbox, Reason: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]bool)
	collectKeys(v, "", keys)
	if got, want := slices.Sorted(maps.Keys(keys)), strings.Fields(goldenKeys); !slices.Equal(got, want) {
		t.Errorf("the keys are\n%s\nwant\n%s", strings.Join(got, " "), strings.Join(want, " "))
	}
	if l := row.Latencies[0]; l.Unit != "ms" || l.P50 < 1.99 || l.P50 > 2.01 || row.Offered != 100 || row.PerSecond < 99 || row.PerSecond > 101 {
		t.Errorf("%+v", row)
	}
	read := &latency{}
	if err := read.UnmarshalBinary([]byte(row.Latencies[0].Histogram)); err != nil || read.histogram.TotalCount() != 200 {
		t.Errorf("%v", err)
	}
}

// collectKeys adds the paths of all values that are neither objects nor arrays.
func collectKeys(v any, path string, keys map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			collectKeys(inner, strings.TrimPrefix(path+"."+k, "."), keys)
		}
	case []any:
		for _, inner := range v {
			collectKeys(inner, path+"[]", keys)
		}
	default:
		keys[path] = true
	}
}

func TestTableSaysWhatIsSaturatedAndLeftOut(t *testing.T) {
	t.Parallel()
	r := Result{
		Load: Load{Events: 2000, Rate: 1000, Runs: 2}, LeftOut: []LeftOut{{Stage: StageOutbox, Reason: "no MongoDB"}},
		Environment: Environment{NATSServer: "2.15.2", SyncInterval: "always", MongoServer: "7.0"},
	}
	for run, took := range []int64{2000, 9000} {
		for _, loop := range []string{LoopOnceish, LoopBaseline} {
			c := &cell{Stage: StageConsume, Loop: loop, Run: run, Events: 2000, Rate: 1000}
			row, err := newRow(c, evenly(t, c, took))
			if err != nil {
				t.Fatal(err)
			}
			r.Rows = append(r.Rows, row)
		}
	}
	r.Summary = summarize(r.Rows)
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"consume  onceish   611       222 to 1,000  -            0           0            saturated in 1 of 2 runs: offered 1,000\n",
		"consume  baseline  due to handler     2,000  2.000  2.001  2.001  2.001  2.001  2.001",
		"\noutbox is left out: no MongoDB\n", "; the server syncs always; MongoDB 7.0, driver ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}

// Programs go over latencies also where there are none.
func TestJSONHasAListWhereThereAreNoLatencies(t *testing.T) {
	t.Parallel()
	c := &cell{Stage: StagePublish, Loop: LoopOnceish, Events: 10}
	counted := newTally(c)
	counted.First, counted.Last = 1, 2
	row, err := newRow(c, counted)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(Result{Rows: []Row{row}, Summary: summarize([]Row{row})})
	if err != nil || strings.Count(string(text), `"latencies":[]`) != 2 {
		t.Errorf("%s, %v", text, err)
	}
}
