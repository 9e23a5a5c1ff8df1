package chaos

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/onceish/onceish/cmd/worker/internal/report"
)

// WriteReport writes what was found as an HTML page.
func (r *Result) WriteReport(path string) error {
	spans := r.spans()
	p := &report.Page{
		Title:    "Onceish chaos",
		Subtitle: fmt.Sprintf("%d workers, marks in %s, %v s of faults, seed %d", r.Processes, r.Store, r.Seconds, r.Seed),
		Verdict:  &report.Verdict{Outcome: r.outcome(), Text: r.verdictText()},
		Charts: []report.Chart{
			{Title: "Effects per second", Unit: "effects/s", Series: []report.Series{{Name: "effects", Points: r.curves.effectPoints()}}, Spans: spans},
			{Title: "Events in flight: running, or not marked", Unit: "events", Series: []report.Series{{Name: "in flight", Points: r.curves.flights}}, Spans: spans},
		},
		Tables: []report.Table{r.kindTable(), r.faultTable()},
	}
	for _, c := range r.counts() {
		p.Facts = append(p.Facts, report.Fact{Name: strings.TrimSpace(c.name), Value: c.value, Note: c.meaning})
	}
	if r.sampler != nil {
		p.Charts = append(p.Charts, r.sampler.Charts(spans)...)
	}
	for _, s := range r.Stories {
		title, text, _ := strings.Cut(s, "\n")
		p.Notes = append(p.Notes, report.Note{Title: title, Text: text})
	}
	p.Notes = append(p.Notes, report.Note{Title: "Replay", Text: r.Replay})
	return p.WriteFile(path)
}

func (r *Result) outcome() report.Outcome {
	switch {
	case r.Err() != nil:
		return report.Failed
	case len(r.Inconclusive) > 0:
		return report.Inconclusive
	}
	return report.Passed
}

func (r *Result) spans() (spans []report.Span) {
	for _, i := range r.Faults {
		spans = append(spans, report.Span{From: i.Began, To: i.Ended, Label: i.Text, Kind: i.Kind})
	}
	return spans
}

func (r *Result) kindTable() report.Table {
	t := report.Table{Title: "Faults by kind", Columns: []string{"fault", "injected", "hit", "in flight", "effects again within", "what was in flight done within"}}
	for _, k := range r.Kinds {
		t.Rows = append(t.Rows, k.cells())
	}
	return t
}

func (r *Result) faultTable() report.Table {
	t := report.Table{Title: "Faults", Columns: []string{"began", "ended", "fault", "in flight", "effects again after", "what was in flight done after"}}
	for _, i := range r.Faults {
		t.Rows = append(t.Rows, []string{seconds(i.Began), seconds(i.Ended), i.Text, strconv.Itoa(i.InFlight), seconds(i.Recovered), seconds(i.Settled)})
	}
	return t
}
