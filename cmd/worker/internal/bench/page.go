package bench

import (
	"fmt"
	"math"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/console"
	"github.com/onceish/onceish/cmd/worker/internal/report"
)

// Page is what was measured as a page with plots: throughput over time, latencies by percentile,
// and CPU and memory of the processes.
func (r *Result) Page() *report.Page {
	p := &report.Page{
		Title: "worker bench", Subtitle: r.Environment.line(&r.Load),
		Facts: []report.Fact{
			{Name: "events", Value: console.GroupDigits(r.Load.Events), Note: "in each measurement, after a warm-up"},
			{Name: "bytes", Value: console.GroupDigits(r.Load.Size), Note: "of data in each event"},
			{Name: "runs", Value: console.GroupDigits(r.Load.Runs), Note: "of each measurement"},
		},
	}
	if r.Load.Rate > 0 {
		p.Facts = append(p.Facts, report.Fact{Name: "offered", Value: rateText(r.Load.Rate), Note: "events a second; latencies count from when an event was due"})
	}
	p.Charts = append([]report.Chart{r.throughputChart()}, r.latencyCharts()...)
	for _, c := range r.usage {
		c.Spans = r.spans()
		p.Charts = append(p.Charts, c)
	}
	rates, latencies := r.rateTable(), r.latencyTable()
	p.Tables = []report.Table{{Title: "Throughput", Columns: rates.columns, Rows: rates.rows}}
	if len(latencies.rows) > 0 {
		p.Tables = append(p.Tables, report.Table{Title: "Latency in milliseconds", Columns: latencies.columns, Rows: latencies.rows})
	}
	for _, l := range r.LeftOut {
		p.Notes = append(p.Notes, report.Note{Title: l.Stage + " is left out", Text: l.Reason})
	}
	return p
}

func (r *Row) name() string { return fmt.Sprintf("%s, %s, run %d", r.Stage, r.Loop, r.Run) }

// throughputMoments is how many points a line of throughput has, at least where it takes that many
// milliseconds.
const throughputMoments = 100

func (r *Result) throughputChart() report.Chart {
	c := report.Chart{Title: "Events completed per second", Unit: "events/s"}
	for i := range r.Rows {
		row := &r.Rows[i]
		c.Series = append(c.Series, report.Series{Name: row.name(), Points: row.completed.points(r.begun)})
	}
	return c
}

// points are rates over time, in seconds since a moment.
func (t *timeline) points(since time.Time) (points []report.Point) {
	width := max(len(t.Counts)/throughputMoments, 1)
	for from := 0; from < len(t.Counts); from += width {
		moment := t.Counts[from:min(from+width, len(t.Counts))]
		n := 0
		for _, one := range moment {
			n += int(one)
		}
		seconds := time.Duration(int64(len(moment)) * timelineWidth).Seconds()
		points = append(points, report.Point{X: t.secondsSince(since, from) + seconds/2, Y: float64(n) / seconds})
	}
	return points
}

// secondsSince is when millisecond i of the timeline was.
func (t *timeline) secondsSince(since time.Time, i int) float64 {
	return time.Duration((t.Begin+int64(i))*timelineWidth - since.UnixNano()).Seconds()
}

// spans are when what was measured.
func (r *Result) spans() (spans []report.Span) {
	for i := range r.Rows {
		row := &r.Rows[i]
		t := &row.completed
		spans = append(spans, report.Span{From: t.secondsSince(r.begun, 0), To: t.secondsSince(r.begun, len(t.Counts)), Label: row.name(), Kind: row.Loop})
	}
	return spans
}

// latencyCharts has a chart for each stage that has latencies.
func (r *Result) latencyCharts() (charts []report.Chart) {
	for _, stage := range Stages() {
		c := report.Chart{Title: "Latency: " + stage, Unit: report.Seconds, X: report.Percentile, LogY: true}
		for i := range r.Rows {
			row := &r.Rows[i]
			for _, l := range row.Latencies {
				if row.Stage == stage {
					c.Series = append(c.Series, report.Series{Name: fmt.Sprintf("%s to %s, %s, run %d", l.From, l.To, row.Loop, row.Run), Points: l.latency.points()})
				}
			}
		}
		if len(c.Series) > 0 {
			charts = append(charts, c)
		}
	}
	return charts
}

// points are seconds by percentile, up to where a single event is.
func (l *latency) points() (points []report.Point) {
	h := l.histogram
	at := func(p float64) {
		points = append(points, report.Point{X: p, Y: time.Duration(h.ValueAtPercentile(p)).Seconds()})
	}
	for above := 1.0; above*float64(h.TotalCount()) >= 1; above /= 10 {
		for _, share := range []float64{1, 0.75, 0.5, 0.35, 0.25, 0.18, 0.13} {
			at(math.Max(0, 100*(1-above*share)))
		}
	}
	at(100)
	return points
}
