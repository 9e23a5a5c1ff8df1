package bench

import (
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/report"
)

// Result is what was measured. Its JSON is an object.
type Result struct {
	// Rows are the measurements in the order in which they were made.
	Rows []Row `json:"rows"`
	// Summary has the median and range over all runs of a row.
	Summary []Summary `json:"summary"`
	// LeftOut are stages that the servers cannot do.
	LeftOut     []LeftOut   `json:"left_out,omitempty"`
	Environment Environment `json:"environment"`
	Load        Load        `json:"load"`

	begun time.Time
	usage []report.Chart // CPU and memory; nil: they were not sampled
}

// Load is what was asked for.
type Load struct {
	Events      int     `json:"events"`
	Size        int     `json:"size_bytes"`
	Rate        float64 `json:"rate_per_second"` // 0: as fast as it goes
	Keys        int     `json:"keys"`
	Duplicates  float64 `json:"duplicates"`
	Processes   int     `json:"processes"`
	Concurrency int     `json:"concurrency"`
	Runs        int     `json:"runs"`
	Seed        uint64  `json:"seed"`
}

// Row is one measurement.
type Row struct {
	Stage string `json:"stage"`
	// Loop is LoopOnceish or LoopBaseline.
	Loop string `json:"loop"`
	Run  int    `json:"run"` // from 1
	// Published are the events that count, WarmUp those before them.
	Published int `json:"published"`
	WarmUp    int `json:"warm_up"`
	// Milliseconds from the first counted event to the completion of the last one.
	Milliseconds float64 `json:"ms"`
	// PerSecond are the events completed per second: Published by Milliseconds, or with a rate
	// those between the first and the last fortieth.
	PerSecond float64 `json:"mps"`
	// Offered is the rate that was asked for. 0: none.
	Offered float64 `json:"offered_mps,omitempty"`
	// Saturated: less than 98 % of Offered were completed, and there is no latency since an event
	// was due.
	Saturated bool `json:"saturated,omitempty"`
	// Duplicates are second messages of events: recognised by the bus, the outbox or the store, or
	// delivered where nothing recognises them. Redelivered are deliveries of a message beyond the
	// first.
	Duplicates  int `json:"duplicates"`
	Redelivered int `json:"redelivered"`
	// Latencies of each step.
	Latencies []LatencyRow `json:"latencies"`

	completed timeline
}

// LatencyRow is how long events took from one moment to another.
type LatencyRow struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Unit of all values: "ms".
	Unit string  `json:"unit"`
	N    int64   `json:"n"`
	Min  float64 `json:"min"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
	Avg  float64 `json:"avg"`
	// Histogram has all values in nanoseconds: HdrHistogram V2, compressed, in base64.
	Histogram string `json:"histogram"`

	latency *latency
}

// saturation is the share of the offered rate below which a measurement is saturated.
const saturation = 0.98

// newRow makes a row of what was counted.
func newRow(c *cell, t *tally) (Row, error) {
	took := max(t.Last-t.First, 1)
	r := Row{
		Stage: c.Stage, Loop: c.Loop, Run: c.Run, Published: c.counted(), WarmUp: c.total() - c.counted(), Milliseconds: milliseconds(took),
		PerSecond: float64(c.counted()) / time.Duration(took).Seconds(), Offered: c.Rate, Duplicates: t.Duplicates, Redelivered: t.repeats(),
		Latencies: []LatencyRow{}, completed: t.Completed,
	}
	if steady := t.Completed.steadyRate(); c.Rate > 0 && steady > 0 {
		r.PerSecond = steady
	}
	r.Saturated = r.PerSecond < saturation*c.Rate
	for _, s := range stepsInTheirOrder {
		l := t.Latencies[s]
		if l == nil || r.Saturated && s.fromDue() {
			continue
		}
		row, err := newLatencyRow(s, l)
		if err != nil {
			return Row{}, err
		}
		r.Latencies = append(r.Latencies, row)
	}
	return r, nil
}

func newLatencyRow(s step, l *latency) (LatencyRow, error) {
	text, err := l.MarshalBinary()
	if err != nil {
		return LatencyRow{}, err
	}
	h := l.histogram
	at := func(percentile float64) float64 { return milliseconds(h.ValueAtPercentile(percentile)) }
	return LatencyRow{
		From: s.From, To: s.To, Unit: "ms", N: h.TotalCount(), Min: milliseconds(h.Min()), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
		Max: milliseconds(h.Max()), Avg: h.Mean() / float64(time.Millisecond), Histogram: string(text), latency: l,
	}, nil
}

func milliseconds(nanoseconds int64) float64 {
	return float64(nanoseconds) / float64(time.Millisecond)
}
