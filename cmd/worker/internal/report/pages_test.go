package report

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// smallPage has each thing once.
func smallPage() *Page {
	return &Page{
		Title:    "worker chaos",
		Subtitle: "three processes, kv store",
		Verdict:  &Verdict{Inconclusive, "Nothing was lost.\nNo fault hit a mark."},
		Facts:    []Fact{{"events", "10,000", "each once or more often"}, {"lost", "0", ""}},
		Charts: []Chart{
			{
				Title: "Throughput", Unit: "events/s",
				Series: []Series{
					{"all", []Point{{0, 0}, {1, 900}, {2, 1200}, {3, math.NaN()}, {4, 1100}}},
					{"worker-1", []Point{{0, 0}, {1, 450}, {2, 600}}},
				},
				Spans: []Span{{1.5, 1.5, "worker-1 killed", "kill"}, {2.5, 3.5, "NATS cut off", "partition"}},
			},
			{
				Title: "Latency", Unit: Seconds, X: Percentile, LogY: true,
				Series: []Series{{"end to end", []Point{{0, 0.001}, {50, 0.004}, {90, 0.02}, {99, 0.1}, {99.9, 0.9}, {100, 1.5}}}},
			},
		},
		Tables: []Table{{"Faults", []string{"fault", "times"}, [][]string{{"kill", "1"}, {"partition", "12"}}}},
		Notes:  []Note{{"order-17", "12:00:01  claimed by worker-1\n12:00:02  worker-1 was killed"}},
	}
}

// largePage is about as much as a run may bring.
func largePage(seed uint64) *Page {
	random := rand.New(rand.NewPCG(seed, seed))
	p := smallPage()
	p.Title, p.Verdict.Outcome = "worker bench: 50 processes", Failed
	throughput := Chart{Title: "Throughput", Unit: "events/s"}
	for n := range 50 {
		s := Series{Name: fmt.Sprintf("worker-%d", n)}
		for i := range 2000 {
			y := float64(100*n) + 2000*random.Float64()
			if random.IntN(1000) == 0 {
				y = math.NaN()
			}
			s.Points = append(s.Points, Point{float64(i) / 4, y})
		}
		throughput.Series = append(throughput.Series, s)
	}
	kinds := strings.Fields("kill pause partition slow-disk clock full-store restart leader-change delay drop")
	for n := range 200 {
		from := 500 * random.Float64()
		throughput.Spans = append(throughput.Spans, Span{from, from + 3*random.Float64(), fmt.Sprintf("fault %d", n), kinds[random.IntN(len(kinds))]})
	}
	p.Charts = append(p.Charts, throughput)
	return p
}

func render(t *testing.T, p *Page) string {
	t.Helper()
	var b strings.Builder
	if err := p.Render(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// CheckFile finds out whether a page can be written, and leaves everything as it was.
func TestCheckFileChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	if err := CheckFile(filepath.Join(dir, "missing", "page.html")); err == nil {
		t.Error("a directory that is missing is accepted")
	}
	if err := CheckFile(dir); err == nil {
		t.Error("a directory is accepted")
	}
	if err := CheckFile(file); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file is left: %v", err)
	}
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckFile(file); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "old" {
		t.Errorf("%q, %v", text, err)
	}
}
