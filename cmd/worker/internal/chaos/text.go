package chaos

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Report writes what was found for people, with a verdict.
func (r *Result) Report(w io.Writer) error {
	var b strings.Builder
	r.writeCounts(&b)
	r.writeKinds(&b)
	b.WriteString("\n" + r.verdictText() + "\n")
	for _, s := range r.Stories {
		b.WriteString("\n" + s)
	}
	b.WriteString("\n")
	if r.Err() != nil {
		fmt.Fprintf(&b, "Journal, log and data are in %s\n", r.Artifacts)
	}
	fmt.Fprintf(&b, "Replay: %s\n", r.Replay)
	_, err := io.WriteString(w, b.String())
	return err
}

// countRow is a number with its name and meaning.
type countRow struct{ name, value, meaning string }

func (r *Result) writeCounts(b *strings.Builder) {
	for _, c := range r.counts() {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-24s %9s   %s", c.name, c.value, c.meaning), " ") + "\n")
	}
}

func (r *Result) counts() []countRow {
	if r.File != "" {
		return r.ownCounts()
	}
	return []countRow{
		{"published", count(r.Published), "messages, copies included: a producer that gets no answer publishes again"},
		{"events", count(r.Events), "in them, told apart by their ids"},
		{"runs", count(r.Runs), fmt.Sprintf("%s failed on purpose, %s were cancelled; at most %d attempts", count(r.Failures), count(r.Cancelled), r.MaxAttempt)},
		{"duplicates recognised", count(r.Duplicates), "deliveries of what was done before: acknowledged, not run"},
		{"effects", count(r.Effects), "lines that the handlers appended to a file of their own"},
		{"repeated", count(r.Repeated), "effects beyond the first of an event"},
		{"  explained", count(r.Repeated - r.RepeatedUnexplained), "the worker was killed between the effect and its mark, or lost its claim in a fault"},
		{"  most after one kill", count(r.MostPerKill), fmt.Sprintf("of at most %d: what a worker has begun and not yet marked", concurrency)},
		{"  unexplained", count(r.RepeatedUnexplained), ""},
		{"lost", count(r.Lost), "events with neither an effect nor a dead letter"},
		{"dead letters", count(r.DeadLetters), fmt.Sprintf("of %s events that fail for good", count(r.DeadLettersMeant))},
		{"claims lost", count(r.LostClaims), fmt.Sprintf("%s of them without a fault that explains it", count(r.LostUnexplained))},
		{"seconds to settle", fmt.Sprintf("%.1f", r.SettleSeconds), "after the last fault was over"},
	}
}

func (r *Result) writeKinds(b *strings.Builder) {
	b.WriteString("\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "  fault\tinjected\thit\tin flight\teffects again within\twhat was in flight done within")
	for i := range r.Kinds {
		_, _ = fmt.Fprintln(t, "  "+strings.Join(r.Kinds[i].cells(), "\t"))
	}
	_ = t.Flush() // a Builder takes everything
}

// cells are those of a table.
func (k *KindResult) cells() []string {
	cells := []string{k.Kind, strconv.Itoa(k.Injected), strconv.Itoa(k.Hits), strconv.Itoa(k.InFlight), "-", "-"}
	if k.Injected > 0 {
		cells[4] = seconds(k.Recovered)
	}
	if k.Hits > 0 {
		cells[5] = seconds(k.Settled)
	}
	return cells
}

func (r *Result) verdictText() string {
	var lines []string
	for i := range r.Violations {
		lines = append(lines, "BROKEN: "+r.Violations[i].Text+namesText(r.Violations[i].Events))
	}
	if len(lines) == 0 {
		text := "Nothing lost, nothing repeated."
		if r.Repeated > 0 {
			text = fmt.Sprintf("Nothing lost. Repeated: %s, each explained by a fault%s.", count(r.Repeated), r.failureText())
		}
		lines = append(lines, text)
	}
	if len(r.Inconclusive) > 0 {
		lines = append(lines, fmt.Sprintf("Inconclusive: %s never hit an event in flight. Try a longer --duration or a higher --rate.", strings.Join(r.Inconclusive, ", ")))
	}
	if n := r.LostUnexplained; n > 0 {
		claims := count(n) + " claims were"
		if n == 1 {
			claims = "1 claim was"
		}
		lines = append(lines, fmt.Sprintf("%s lost without a fault: a server or the machine was too slow for the lease.", claims))
	}
	return strings.Join(append(lines, r.ownRemarks()...), "\n")
}

// namesText names the first events of a violation.
func namesText(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	const most = 5
	text := ": " + strings.Join(ids[:min(len(ids), most)], ", ")
	if len(ids) > most {
		text += ", …"
	}
	return text
}
