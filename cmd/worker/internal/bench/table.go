package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/onceish/onceish/cmd/worker/internal/console"
)

// WriteTable writes what was measured as tables for people.
func (r *Result) WriteTable(w io.Writer) error {
	var b strings.Builder
	r.writeRates(&b)
	r.writeLatencies(&b)
	for _, l := range r.LeftOut {
		fmt.Fprintf(&b, "\n%s is left out: %s\n", l.Stage, l.Reason)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Environment.line(&r.Load))
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) writeRates(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STAGE\tLOOP\tEVENTS/S\tRANGE\tOF BASELINE\tDUPLICATES\tREDELIVERED\t")
	for i := range r.Summary {
		s := &r.Summary[i]
		ratio, note := "-", ""
		if s.Ratio != nil {
			ratio = fmt.Sprintf("%.2f", s.Ratio.Median)
			if s.Runs > 1 {
				ratio += fmt.Sprintf(" (%.2f to %.2f)", s.Ratio.Min, s.Ratio.Max)
			}
		}
		if s.Saturated > 0 {
			note = fmt.Sprintf("saturated in %d of %d runs: offered %s", s.Saturated, s.Runs, rateText(r.Load.Rate))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Stage, s.Loop, rateText(s.PerSecond.Median), s.rangeText(), ratio,
			console.GroupDigits(s.Duplicates), console.GroupDigits(s.Redelivered), note)
	}
	_ = t.Flush() // a strings.Builder takes everything
}

// rangeText is from the slowest to the fastest run.
func (s *Summary) rangeText() string {
	if s.Runs == 1 {
		return "-"
	}
	return rateText(s.PerSecond.Min) + " to " + rateText(s.PerSecond.Max)
}

func (r *Result) writeLatencies(b *strings.Builder) {
	var rows strings.Builder
	t := tabwriter.NewWriter(&rows, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STAGE\tLOOP\tMILLISECONDS FROM\tN\tMIN\tP50\tP90\tP99\tP99.9\tMAX\t")
	n := 0
	for i := range r.Summary {
		s := &r.Summary[i]
		for _, l := range s.Latencies {
			n++
			fmt.Fprintf(t, "%s\t%s\t%s to %s\t%s", s.Stage, s.Loop, l.From, l.To, console.GroupDigits(int(l.N)))
			for _, v := range []Spread{l.Min, l.P50, l.P90, l.P99, l.P999, l.Max} {
				fmt.Fprintf(t, "\t%s", millisecondsText(v.Median))
			}
			fmt.Fprintln(t, "\t")
		}
	}
	_ = t.Flush() // a strings.Builder takes everything
	if n > 0 {
		b.WriteString("\n" + rows.String())
	}
}

// rateText has three digits of a rate that are worth something.
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
		fmt.Sprintf("%s events of %d bytes, %d worker process(es), concurrency %d, seed %d", console.GroupDigits(l.Events), l.Size, l.Processes, l.Concurrency, l.Seed),
		fmt.Sprintf("onceish %s, %s, %s/%s, %d cores", e.Onceish, e.Go, e.OS, e.Arch, e.Cores), "bus " + e.Bus, "store " + e.Store,
	}
	if e.NATSServer != "" {
		parts = append(parts, fmt.Sprintf("NATS server %s, client %s, %d replica(s)", e.NATSServer, e.NATSClient, e.Replicas))
	}
	if e.SyncInterval != "" {
		parts = append(parts, "the server syncs "+e.SyncInterval)
	}
	if e.MongoServer != "" {
		parts = append(parts, fmt.Sprintf("MongoDB %s, driver %s", e.MongoServer, e.MongoDriver))
	}
	return strings.Join(parts, "; ")
}
