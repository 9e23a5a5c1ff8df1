package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/onceish/onceish/cmd/worker/internal/console"
)

// textTable is a table of texts.
type textTable struct {
	columns []string
	rows    [][]string
}

// WriteTable writes what was measured as tables for people.
func (r *Result) WriteTable(w io.Writer) error {
	var b strings.Builder
	r.rateTable().write(&b)
	if latencies := r.latencyTable(); len(latencies.rows) > 0 {
		b.WriteString("\n")
		latencies.write(&b)
	}
	for _, l := range r.LeftOut {
		fmt.Fprintf(&b, "\n%s is left out: %s\n", l.Stage, l.Reason)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Environment.line(&r.Load))
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *textTable) write(b *strings.Builder) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ToUpper(strings.Join(t.columns, "\t")))
	for _, row := range t.rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a strings.Builder takes everything
	for line := range strings.Lines(text.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}

func (r *Result) rateTable() *textTable {
	t := &textTable{columns: []string{"stage", "loop", "events/s", "range", "of baseline", "duplicates", "redelivered", "note"}}
	for i := range r.Summary {
		s := &r.Summary[i]
		note := ""
		if s.Saturated > 0 {
			note = fmt.Sprintf("saturated in %d of %d runs: offered %s", s.Saturated, s.Runs, rateText(r.Load.Rate))
		}
		t.rows = append(t.rows, []string{
			s.Stage, s.Loop, rateText(s.PerSecond.Median), s.rangeText(), s.ratioText(),
			console.GroupDigits(s.Duplicates), console.GroupDigits(s.Redelivered), note,
		})
	}
	return t
}

// rangeText is from the slowest to the fastest run.
func (s *Summary) rangeText() string {
	if s.Runs == 1 {
		return "-"
	}
	return rateText(s.PerSecond.Min) + " to " + rateText(s.PerSecond.Max)
}

func (s *Summary) ratioText() string {
	switch {
	case s.Ratio == nil:
		return "-"
	case s.Runs == 1:
		return fmt.Sprintf("%.2f", s.Ratio.Median)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.Ratio.Median, s.Ratio.Min, s.Ratio.Max)
}

func (r *Result) latencyTable() *textTable {
	t := &textTable{columns: []string{"stage", "loop", "milliseconds from", "n", "min", "p50", "p90", "p99", "p99.9", "max"}}
	for i := range r.Summary {
		s := &r.Summary[i]
		for _, l := range s.Latencies {
			row := []string{s.Stage, s.Loop, l.From + " to " + l.To, console.GroupDigits(int(l.N))}
			for _, v := range []Spread{l.Min, l.P50, l.P90, l.P99, l.P999, l.Max} {
				row = append(row, millisecondsText(v.Median))
			}
			t.rows = append(t.rows, row)
		}
	}
	return t
}

// rateText has three digits of a rate, at least.
func rateText(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return console.GroupDigits(int(v + 0.5))
}

// millisecondsText has as many digits as the precision of a histogram allows for.
func millisecondsText(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)[:5]
}

// line is the environment in a line.
func (e *Environment) line(l *Load) string {
	parts := []string{
		fmt.Sprintf("%s events of %d bytes, worker processes: %d, concurrency %d, seed %d", console.GroupDigits(l.Events), l.Size, l.Processes, l.Concurrency, l.Seed),
		fmt.Sprintf("onceish %s, %s, %s/%s, %d cores", e.Onceish, e.Go, e.OS, e.Arch, e.Cores), "bus " + e.Bus, "store " + e.Store,
	}
	if e.NATSServer != "" {
		parts = append(parts, fmt.Sprintf("NATS server %s, client %s, replicas: %d", e.NATSServer, e.NATSClient, e.Replicas))
	}
	if e.SyncInterval != "" {
		parts = append(parts, "the server syncs "+e.SyncInterval)
	}
	if e.MongoServer != "" {
		parts = append(parts, fmt.Sprintf("MongoDB %s, driver %s", e.MongoServer, e.MongoDriver))
	}
	return strings.Join(parts, "; ")
}
