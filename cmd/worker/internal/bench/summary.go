package bench

import "slices"

// Spread is how far the runs of a measurement lie apart.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Summary is about all runs of a measurement.
type Summary struct {
	Stage string `json:"stage"`
	Loop  string `json:"loop"`
	Runs  int    `json:"runs"`
	// PerSecond are events completed per second.
	PerSecond Spread `json:"mps"`
	// Ratio is PerSecond by that of the baseline in the same run. Nil: there is no baseline, or
	// there is a rate, which both are to reach.
	Ratio *Spread `json:"ratio,omitempty"`
	// Saturated are the runs that were.
	Saturated int `json:"saturated"`
	// Duplicates and Redelivered of all runs.
	Duplicates  int `json:"duplicates"`
	Redelivered int `json:"redelivered"`
	// Latencies of the runs that have them.
	Latencies []LatencySummary `json:"latencies"`
}

// LatencySummary is about a step in all runs, in milliseconds.
type LatencySummary struct {
	From string `json:"from"`
	To   string `json:"to"`
	Unit string `json:"unit"`
	N    int64  `json:"n"` // of all runs
	Min  Spread `json:"min"`
	P50  Spread `json:"p50"`
	P90  Spread `json:"p90"`
	P99  Spread `json:"p99"`
	P999 Spread `json:"p999"`
	Max  Spread `json:"max"`
}

func newSpread(values []float64) Spread {
	slices.Sort(values)
	n := len(values)
	return Spread{Median: (values[(n-1)/2] + values[n/2]) / 2, Min: values[0], Max: values[n-1]}
}

// spreadOf is over one number of each row.
func spreadOf[T any](rows []T, number func(T) float64) Spread {
	values := make([]float64, len(rows))
	for i, r := range rows {
		values[i] = number(r)
	}
	return newSpread(values)
}

// summarize sums up the runs of each stage and loop, in the order of the rows.
func summarize(rows []Row) (all []Summary) {
	type kind struct{ stage, loop string }
	byKind := make(map[kind][]Row)
	var order []kind
	for _, r := range rows {
		k := kind{r.Stage, r.Loop}
		if byKind[k] == nil {
			order = append(order, k)
		}
		byKind[k] = append(byKind[k], r)
	}
	slices.SortStableFunc(order, func(a, b kind) int { return slices.Index(Stages(), a.stage) - slices.Index(Stages(), b.stage) })
	for _, k := range order {
		s := newSummary(byKind[k])
		if k.loop == LoopOnceish {
			s.Ratio = ratioTo(byKind[k], byKind[kind{k.stage, LoopBaseline}])
		}
		all = append(all, s)
	}
	return all
}

// newSummary is about the runs of one stage and loop.
func newSummary(rows []Row) Summary {
	s := Summary{Stage: rows[0].Stage, Loop: rows[0].Loop, Runs: len(rows), PerSecond: spreadOf(rows, func(r Row) float64 { return r.PerSecond }), Latencies: []LatencySummary{}}
	bySteps := make(map[step][]LatencyRow)
	for _, r := range rows {
		if r.Saturated {
			s.Saturated++
		}
		s.Duplicates += r.Duplicates
		s.Redelivered += r.Redelivered
		for _, l := range r.Latencies {
			k := step{l.From, l.To}
			bySteps[k] = append(bySteps[k], l)
		}
	}
	for _, k := range stepsInTheirOrder {
		if ls := bySteps[k]; len(ls) > 0 {
			s.Latencies = append(s.Latencies, newLatencySummary(ls))
		}
	}
	return s
}

func newLatencySummary(rows []LatencyRow) LatencySummary {
	s := LatencySummary{
		From: rows[0].From, To: rows[0].To, Unit: rows[0].Unit,
		Min:  spreadOf(rows, func(r LatencyRow) float64 { return r.Min }),
		P50:  spreadOf(rows, func(r LatencyRow) float64 { return r.P50 }),
		P90:  spreadOf(rows, func(r LatencyRow) float64 { return r.P90 }),
		P99:  spreadOf(rows, func(r LatencyRow) float64 { return r.P99 }),
		P999: spreadOf(rows, func(r LatencyRow) float64 { return r.P999 }),
		Max:  spreadOf(rows, func(r LatencyRow) float64 { return r.Max }),
	}
	for _, r := range rows {
		s.N += r.N
	}
	return s
}

// ratioTo compares the rows of the same run.
func ratioTo(rows, baseline []Row) *Spread {
	var ratios []float64
	for _, r := range rows {
		i := slices.IndexFunc(baseline, func(b Row) bool { return b.Run == r.Run })
		if i >= 0 && r.Offered == 0 {
			ratios = append(ratios, r.PerSecond/baseline[i].PerSecond)
		}
	}
	if len(ratios) == 0 {
		return nil
	}
	s := newSpread(ratios)
	return &s
}
