package report

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/small.html")

func TestSmallPageIsAsRecorded(t *testing.T) {
	t.Parallel()
	got := render(t, smallPage())
	if *update {
		if err := os.WriteFile("testdata/small.html", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/small.html")
	if err != nil || got != string(want) {
		t.Errorf("the page is not testdata/small.html (%v): look at it, and run go test ./cmd/worker/internal/report -run TestSmall -update", err)
	}
}

// unusualPages are those that a run may bring on a bad day.
func unusualPages() map[string]*Page {
	line := func(ys ...float64) []Series {
		s := Series{Name: "a"}
		for i, y := range ys {
			s.Points = append(s.Points, Point{float64(i), y})
		}
		return []Series{s}
	}
	chart := func(c Chart) *Page { return &Page{Title: "unusual", Charts: []Chart{c}} }
	nan, inf := math.NaN(), math.Inf(1)
	return map[string]*Page{
		"small":             smallPage(),
		"large":             largePage(1),
		"empty":             {},
		"no series":         chart(Chart{}),
		"no series, log":    chart(Chart{LogY: true, X: Percentile}),
		"no points":         chart(Chart{Series: []Series{{Name: "a"}}}),
		"gaps alone":        chart(Chart{Series: line(nan, nan)}),
		"spans alone":       chart(Chart{Spans: []Span{{10, 20, "a", "b"}}}),
		"one point":         chart(Chart{Series: line(5)}),
		"one point, log":    chart(Chart{Series: line(5), LogY: true}),
		"all equal":         chart(Chart{Series: line(7, 7, 7)}),
		"all equal, log":    chart(Chart{Series: line(7, 7, 7), LogY: true}),
		"all zero":          chart(Chart{Series: line(0, 0, 0)}),
		"all zero, log":     chart(Chart{Series: line(0, 0, 0), LogY: true}),
		"below zero":        chart(Chart{Series: line(-5, -1, -7)}),
		"huge":              chart(Chart{Series: line(math.MaxFloat64, -math.MaxFloat64, 1), Unit: Seconds}),
		"huge, log":         chart(Chart{Series: line(math.MaxFloat64, 1), LogY: true, Unit: MiB}),
		"tiny":              chart(Chart{Series: line(math.SmallestNonzeroFloat64, 2e-300), Unit: Seconds}),
		"tiniest":           chart(Chart{Series: line(0, math.SmallestNonzeroFloat64)}),
		"tiny, log":         chart(Chart{Series: line(math.SmallestNonzeroFloat64, 2e-300, 1e300), LogY: true}),
		"infinite":          chart(Chart{Series: line(1, inf, -inf, 2)}),
		"no time":           chart(Chart{Series: []Series{{"a", []Point{{nan, 1}, {inf, 2}, {-inf, 3}}}}}),
		"a long time":       chart(Chart{Series: []Series{{"a", []Point{{math.MaxFloat64, 1}, {-math.MaxFloat64, 2}}}}}),
		"before the start":  chart(Chart{Series: []Series{{"a", []Point{{-200, 1}, {400, 2}}}}}),
		"odd spans":         chart(Chart{Series: line(1, 2), Spans: []Span{{nan, nan, "", ""}, {inf, -inf, "", ""}, {5, 2, "", ""}, {-1e308, 1e308, "", ""}}}),
		"odd percentiles":   chart(Chart{X: Percentile, Series: []Series{{"a", []Point{{-5, 1}, {100 - 1e-13, 2}, {100, 3}, {1e9, 4}}}}}),
		"spans on no times": chart(Chart{X: Percentile, Series: line(1), Spans: []Span{{1, 2, "", ""}}}),
		"hostile":           hostilePage(hostileName),
	}
}

// renderUnusual renders the unusual pages once.
var renderUnusual = sync.OnceValues(func() (map[string]string, error) {
	pages := make(map[string]string)
	for name, p := range unusualPages() {
		var b strings.Builder
		if err := p.Render(&b); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		pages[name] = b.String()
	}
	return pages, nil
})

func unusual(t *testing.T) map[string]string {
	t.Helper()
	pages, err := renderUnusual()
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

const hostileName = `</title></svg></style></pre><script src=//evil.example/x.js>alert(1)</script>"' onload='x' & \0 ` + "\x00\x01\x1b[31m\xff\u202e]]><!--"

// hostilePage has a name wherever there is a text.
func hostilePage(name string) *Page {
	return &Page{
		Title: name, Subtitle: name, Verdict: &Verdict{Failed, name}, Facts: []Fact{{name, name, name}},
		Charts: []Chart{{
			Title: name, Unit: Unit(name), Series: []Series{{name, []Point{{1, 2}, {2, 3}}}, {name, nil}},
			Spans: []Span{{1, 2, name, name}},
		}},
		Tables: []Table{{name, []string{name}, [][]string{{name}}}},
		Notes:  []Note{{name, name}},
	}
}

var svgs = regexp.MustCompile(`(?s)<div class="plot">\n(<svg.*?)\n</div>`)

func TestPlotsAreWellFormed(t *testing.T) {
	t.Parallel()
	charts := unusualPages()
	for name, page := range unusual(t) {
		found := svgs.FindAllStringSubmatch(page, -1)
		if want := len(charts[name].Charts); len(found) != want {
			t.Errorf("%s: %d plots of %d charts", name, len(found), want)
		}
		for _, svg := range found {
			if err := parseXML(svg[1], true); err != nil {
				t.Errorf("%s: %v:\n%.2000s", name, err, svg[1])
			}
			for _, bad := range []string{"NaN", "Inf", "%!"} {
				if strings.Contains(svg[1], bad) {
					t.Errorf("%s has %q:\n%.2000s", name, bad, svg[1])
				}
			}
		}
		if err := parseXML(page, false); err != nil {
			t.Errorf("%s: the page: %v", name, err)
		}
	}
}

func parseXML(text string, strict bool) error {
	d := xml.NewDecoder(strings.NewReader(text))
	if !strict {
		d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	}
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// elements calls what is given for each element of a page.
func elements(t *testing.T, page string, see func(xml.StartElement)) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			see(e)
		}
	}
}

func TestPageLoadsAndRunsNothing(t *testing.T) {
	t.Parallel()
	known := strings.Fields("html head meta title style body header h1 h2 p main section dl div dt dd figure figcaption span ul li svg desc path text " +
		"details summary table thead tbody tr th td pre")
	for name, page := range unusual(t) {
		elements(t, page, func(e xml.StartElement) {
			if !slices.Contains(known, e.Name.Local) {
				t.Errorf("%s has an element %s", name, e.Name.Local)
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || slices.Contains(strings.Fields("src href style srcset data action"), a.Name.Local) {
					t.Errorf("%s has an attribute %s=%q", name, a.Name.Local, a.Value)
				}
			}
		})
		if style, _, _ := strings.Cut(page, "</style>"); strings.Contains(style, "url(") || strings.Contains(style, "@import") {
			t.Errorf("%s: a style loads something", name)
		}
		if name != "hostile" && regexp.MustCompile(`(?i)https?:|//`).MatchString(page) {
			t.Errorf("%s refers to something outside", name)
		}
		if !strings.Contains(page, `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">`) {
			t.Errorf("%s has no policy", name)
		}
	}
}

func TestTextsAreEscapedEverywhere(t *testing.T) {
	t.Parallel()
	shape := func(p *Page) (shape []string) {
		elements(t, render(t, p), func(e xml.StartElement) {
			for _, a := range e.Attr {
				shape = append(shape, e.Name.Local+" "+a.Name.Local)
			}
			shape = append(shape, e.Name.Local)
		})
		return shape
	}
	hostile, harmless := shape(hostilePage(hostileName)), shape(hostilePage("harmless"))
	if strings.Join(hostile, "\n") != strings.Join(harmless, "\n") {
		t.Errorf("a name has changed the page:\n%q\n%q", hostile, harmless)
	}
	page := render(t, hostilePage(hostileName))
	if i := strings.IndexFunc(page, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == '\u202e' }); i >= 0 {
		t.Errorf("the page has %q", page[i:i+8])
	}
	if escaped := "&lt;script src=//evil.example/x.js&gt;"; strings.Count(page, escaped) < 15 {
		t.Errorf("a text is missing: %d", strings.Count(page, escaped))
	}
}

func TestPlotsHaveNamesAndData(t *testing.T) {
	t.Parallel()
	page := render(t, smallPage())
	for _, want := range []string{
		`role="img" aria-labelledby="chart-1-title chart-1-desc"`, `<title id="chart-1-title">Throughput</title>`,
		`<desc id="chart-1-desc">Line chart over time since start. all: 0 to 1.2k. worker-1: 0 to 600. Marked: 2.</desc>`,
		`<tr><td class="n">2</td><td class="n">1.2k</td><td class="n">600</td></tr>`, `<tr><td class="n">3</td><td class="n"></td><td class="n"></td></tr>`,
		`<tr><td class="n">99.9</td><td class="n">900 ms</td></tr>`, `<title>worker-1 killed, 1.5 s</title>`,
		`<td class="n">2.5</td><td class="n">3.5</td><td>partition</td><td>NATS cut off</td>`,
		`<td>kill</td><td class="n">1</td>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestPageWithoutDataSaysSo(t *testing.T) {
	t.Parallel()
	for name, page := range unusual(t) {
		empty := slices.Contains([]string{"no series", "no series, log", "no points", "gaps alone", "spans alone", "no time"}, name)
		if strings.Contains(page, ">no data</text>") != empty {
			t.Errorf("%s: no data is said: %v", name, !empty)
		}
	}
}

func TestWrongPagesAreRefused(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]*Page{
		"Verdict.Outcome is 7: choose Passed":                 {Verdict: &Verdict{Outcome: 7}},
		`chart "a": X is -1: choose Elapsed or Percentile`:    {Charts: []Chart{{Title: "a", X: -1}}},
		`table "a": row 2 has 3 cells for 2 columns: give`:    {Tables: []Table{{"a", []string{"b", "c"}, [][]string{{"", ""}, {"", "", ""}}}}},
		`table "a": row 1 has 0 cells for 1 columns: give ea`: {Tables: []Table{{"a", []string{"b"}, [][]string{{}}}}},
	} {
		var b strings.Builder
		file := filepath.Join(t.TempDir(), "report.html")
		for _, err := range []error{p.Render(&b), p.WriteFile(file)} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		if _, err := os.Stat(file); b.Len() > 0 || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was written (%v)", want, err)
		}
	}
}

func TestWriteFileReplacesTheFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "report.html")
	for _, p := range []*Page{smallPage(), {Title: "shorter"}} {
		if err := p.WriteFile(file); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != render(t, p) {
			t.Errorf("the file is not the page (%v)", err)
		}
	}
	if err := smallPage().WriteFile(filepath.Join(file, "below.html")); err == nil || !strings.Contains(err.Error(), "write report: ") {
		t.Errorf("below a file: %v", err)
	}
}

type failingWriter struct{}

var errFull = errors.New("full")

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

func TestRenderReturnsTheWritersError(t *testing.T) {
	t.Parallel()
	if err := smallPage().Render(failingWriter{}); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
}

func TestLargePageIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 4 << 20
	if n := len(unusual(t)["large"]); n > bound {
		t.Errorf("%d bytes, at most %d expected", n, bound)
	}
}
