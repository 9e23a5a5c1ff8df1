package report

import "fmt"

// Page is a report. What is empty is left out.
type Page struct {
	// Title is the heading, and the title of the browser's window.
	Title string
	// Subtitle stands below the title: when and where the run was, for example.
	Subtitle string
	// Verdict is what the run has shown. Nil: the page has none.
	Verdict *Verdict
	// Facts are single values, each with its name.
	Facts []Fact
	// Charts come after the facts, in their order.
	Charts []Chart
	// Tables come after the charts, in their order.
	Tables []Table
	// Notes come last, in their order.
	Notes []Note
}

// Outcome is how a run has ended.
type Outcome int

// The outcomes of a run.
const (
	// Passed: what was promised was seen.
	Passed Outcome = iota
	// Inconclusive: nothing broke a promise, and the run does not prove that it holds.
	Inconclusive
	// Failed: a promise was broken.
	Failed
)

// String returns the outcome as a word.
func (o Outcome) String() string {
	switch o {
	case Passed:
		return "passed"
	case Inconclusive:
		return "inconclusive"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("outcome %d", int(o))
}

// Verdict is what a run has shown.
type Verdict struct {
	Outcome Outcome
	// Text says why, in a sentence or a few lines.
	Text string
}

// Fact is a value with a name: "events", "10,000".
type Fact struct {
	Name, Value string
	// Note explains the value in a few words. It may be empty.
	Note string
}

// Table is a table of texts. A column whose cells all begin like numbers is aligned to the right.
type Table struct {
	Title string
	// Columns are the headings.
	Columns []string
	// Rows have a cell for each column.
	Rows [][]string
}

// Note is a text that is shown as it is, with its line breaks: the story of an event, a log.
type Note struct {
	Title, Text string
}

func (p *Page) checkPage() error {
	if v := p.Verdict; v != nil && (v.Outcome < Passed || v.Outcome > Failed) {
		return fmt.Errorf("report: Verdict.Outcome is %d: choose Passed, Inconclusive or Failed", int(v.Outcome))
	}
	for _, t := range p.Tables {
		for i, row := range t.Rows {
			if len(row) != len(t.Columns) {
				return fmt.Errorf("report: table %q: row %d has %d cells for %d columns: give each column a cell, if an empty one",
					t.Title, i+1, len(row), len(t.Columns))
			}
		}
	}
	for i := range p.Charts {
		if x := p.Charts[i].X; x != Elapsed && x != Percentile {
			return fmt.Errorf("report: chart %q: X is %d: choose Elapsed or Percentile", p.Charts[i].Title, int(x))
		}
	}
	return nil
}
