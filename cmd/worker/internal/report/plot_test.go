package report

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var (
	paths   = regexp.MustCompile(`<path class="(?:line|dots|band|grid|bar)[^"]*" d="([^"]*)"`)
	numbers = regexp.MustCompile(`-?[0-9.]+`)
	labels  = regexp.MustCompile(`<text class="(?:x|x odd|kind|none)" x="([-0-9.]+)%?" y="([-0-9.]+)">`)
)

// anyValue is one that a measurement may bring.
func anyValue(t *rapid.T, name string) float64 {
	return rapid.OneOf(
		rapid.Float64(), rapid.Float64Range(0, 1000), rapid.SampledFrom([]float64{0, 1, math.NaN(), math.Inf(1), math.Inf(-1), 100, 99.99}),
	).Draw(t, name)
}

func anyChart(t *rapid.T) Chart {
	c := Chart{
		Title: "any", LogY: rapid.Bool().Draw(t, "log"), X: rapid.SampledFrom([]Axis{Elapsed, Percentile}).Draw(t, "axis"),
		Unit: rapid.SampledFrom([]Unit{"", "events", Seconds, MiB, Percent}).Draw(t, "unit"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "series") {
		s := Series{Name: "s"}
		for range rapid.IntRange(0, 30).Draw(t, "points") {
			s.Points = append(s.Points, Point{anyValue(t, "x"), anyValue(t, "y")})
		}
		c.Series = append(c.Series, s)
	}
	for range rapid.IntRange(0, 12).Draw(t, "spans") {
		c.Spans = append(c.Spans, Span{anyValue(t, "from"), anyValue(t, "to"), "label", rapid.StringMatching(`[a-l]?`).Draw(t, "kind")})
	}
	return c
}

// Whatever the values are: nothing is drawn outside of the plot, and each axis has labels.
func TestEverythingIsInsideThePlot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := anyChart(t)
		var b strings.Builder
		if err := (&Page{Charts: []Chart{c}}).Render(&b); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		for _, path := range paths.FindAllStringSubmatch(page, -1) {
			for _, n := range numbers.FindAllString(path[1], -1) {
				if v, err := strconv.ParseFloat(n, 64); err != nil || v < 0 || v > plotSize {
					t.Fatalf("%s is outside of the plot (%v): %s", n, err, path[0])
				}
			}
		}
		for _, label := range labels.FindAllStringSubmatch(page, -1) {
			if x, err := strconv.ParseFloat(label[1], 64); err != nil || x < 0 || x > 100 {
				t.Fatalf("the label %s is outside (%v)", label[0], err)
			}
		}
		p := newPlot(&c)
		checkTicks(t, p.x)
		checkTicks(t, p.y)
		if len(p.drawTracks()) > mostTracks {
			t.Fatalf("%d rows of spans", len(p.drawTracks()))
		}
	})
}

func checkTicks(t *rapid.T, m *mapping) {
	if n := len(m.ticks); n < 1 || n > 13 {
		t.Fatalf("%d ticks: %v", n, m.ticks)
	}
	seen := make(map[string]bool)
	last := -1.
	for _, tick := range m.ticks {
		at := m.position(tick.value)
		if math.IsNaN(at) || at < -1e-6 || at > 1+1e-6 || at <= last {
			t.Fatalf("the tick %v is at %v, after %v: %v", tick, at, last, m.ticks)
		}
		if last = at; seen[tick.label] || tick.label == "" || utf8.RuneCountInString(tick.label) > 13 {
			t.Fatalf("the label %q, of %v", tick.label, m.ticks)
		}
		seen[tick.label] = true
	}
}

// A higher value is drawn higher, and a later one further to the right.
func TestPlacesAreInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := anyChart(t)
		p := newPlot(&c)
		a, b := limitValue(anyValue(t, "a")), limitValue(anyValue(t, "b"))
		if a <= b && (p.x.at(a) > p.x.at(b) || p.y.at(a) > p.y.at(b)) {
			t.Fatalf("%v is before %v, but is drawn after it: x %v and %v, y %v and %v", a, b, p.x.at(a), p.x.at(b), p.y.at(a), p.y.at(b))
		}
	})
}

// A line of many points keeps its extremes, its ends and its gaps, whatever their order.
func TestThinningKeepsExtremesEndsAndGaps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5000).Draw(t, "points")
		points := make([]Point, n)
		for i := range points {
			points[i] = Point{float64(i), float64(i*7919%1000) / 10}
		}
		for range rapid.IntRange(0, 20).Draw(t, "odd ones") {
			if n > 0 {
				points[rapid.IntRange(0, n-1).Draw(t, "at")].Y = rapid.SampledFrom([]float64{math.NaN(), 1e6, -1e6}).Draw(t, "odd one")
			}
		}
		place := func(x float64) float64 { return x / float64(max(n-1, 1)) }
		kept := thinPoints(points, place)
		if len(kept) > 5*(columns+1) {
			t.Fatalf("%d of %d points are kept", len(kept), n)
		}
		if n == 0 {
			return
		}
		if got, want := rangeOf(kept), rangeOf(points); got != want {
			t.Fatalf("the range is %v, was %v", got, want)
		}
		if kept[0].X != points[0].X || kept[len(kept)-1].X != points[n-1].X {
			t.Fatalf("the ends are %v and %v", kept[0], kept[len(kept)-1])
		}
		if !slices.IsSortedFunc(kept, func(a, b Point) int { return int(a.X - b.X) }) {
			t.Fatal("the order has changed")
		}
		for _, p := range points {
			if math.IsNaN(p.Y) && !hasGapNear(kept, p.X, float64(n)/columns) {
				t.Fatalf("the gap at %v is lost", p.X)
			}
		}
	})
}

func TestColumnKeepsWhatCanBeSeen(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, c := range []struct{ points, want []float64 }{
		{[]float64{5}, []float64{5}},
		{[]float64{5, 6, 4, 5.5, 5.2, 5.1}, []float64{5, 6, 4, 5.1}},
		{[]float64{1, 2, 3, 4}, []float64{1, 4}},
		{[]float64{5, nan, nan, 9, 1, 3, 4}, []float64{5, nan, 9, 1, 4}},
		{[]float64{nan, nan, nan}, []float64{nan, nan}},
	} {
		var points []Point
		for _, y := range c.points {
			points = append(points, Point{1, y})
		}
		var got []float64
		for _, p := range thinColumn(points) {
			got = append(got, p.Y)
		}
		same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
		if !slices.EqualFunc(got, c.want, same) {
			t.Errorf("of %v are kept %v, want %v", c.points, got, c.want)
		}
	}
}

func hasGapNear(points []Point, x, distance float64) bool {
	return slices.ContainsFunc(points, func(p Point) bool { return math.IsNaN(p.Y) && math.Abs(p.X-x) <= distance+1 })
}

func TestLineHasGapsAndMarksSinglePoints(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	points := []Point{{0, 0}, {1, 5}, {2, nan}, {3, 10}, {4, nan}, {5, 10}, {10, 0}}
	c := Chart{Series: []Series{{"a", points}}}
	p := newPlot(&c)
	l := p.drawLine(0, p.series[0])
	if want := "M0 1000L100 500M500 0L1000 1000"; l.Path != want {
		t.Errorf("the line is %s, want %s", l.Path, want)
	}
	if want := "M0 1000h0M100 500h0M300 0h0M500 0h0M1000 1000h0"; l.Dots != want {
		t.Errorf("of few points each is marked: %s, want %s", l.Dots, want)
	}
	backwards := Chart{Series: []Series{{"a", slices.Clone(points)}}}
	slices.Reverse(backwards.Series[0].Points)
	p = newPlot(&backwards)
	if got := p.drawLine(0, p.series[0]); got != l {
		t.Errorf("the points in another order are drawn as %+v, want %+v", got, l)
	}
	for i := range 30 {
		c.Series[0].Points = append(c.Series[0].Points, Point{5 + float64(i)/10, 10})
	}
	p = newPlot(&c)
	if l := p.drawLine(0, p.series[0]); l.Dots != "M300 0h0" {
		t.Errorf("of many points the single ones are marked: %s", l.Dots)
	}
}

func TestLinesDifferWithoutColour(t *testing.T) {
	t.Parallel()
	pairs, c := make(map[[2]int]bool), Chart{}
	p := newPlot(&c)
	for n := range colours * dashes {
		l := p.drawLine(n, Series{})
		pairs[[2]int{l.Colour, l.Dash}] = true
		if next := p.drawLine(n+1, Series{}); next.Dash == l.Dash || next.Colour == l.Colour {
			t.Errorf("lines %d and %d look alike", n, n+1)
		}
	}
	if len(pairs) != colours*dashes {
		t.Errorf("%d looks of %d", len(pairs), colours*dashes)
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	series := []Series{{"a", []Point{{0, 1}, {100, 1}}}}
	for name, c := range map[string]struct {
		spans []Span
		want  string // from and to in the square
	}{
		"one":               {[]Span{{From: 10, To: 20}}, "100-200"},
		"no length":         {[]Span{{From: 10, To: 10}}, "100-100"},
		"no end":            {[]Span{{From: 10, To: math.Inf(1)}}, "100-1000"},
		"unknown end":       {[]Span{{From: 10, To: math.NaN()}}, "100-1000"},
		"end before":        {[]Span{{From: 10, To: 0}}, "100-1000"},
		"no beginning":      {[]Span{{From: math.NaN(), To: 20}}, "0-200"},
		"apart":             {[]Span{{From: 50, To: 60}, {From: 10, To: 20}}, "100-200 500-600"},
		"one in another":    {[]Span{{From: 10, To: 60}, {From: 20, To: 30}}, "100-600"},
		"overlapping":       {[]Span{{From: 20, To: 40}, {From: 10, To: 30}, {From: 40, To: 50}}, "100-500"},
		"after the points":  {[]Span{{From: 150, To: 200}}, "750-1000"},
		"before the points": {[]Span{{From: -100, To: 0}}, "0-500"},
	} {
		p := newPlot(&Chart{Series: series, Spans: c.spans})
		var got []string
		for _, b := range p.drawBands() {
			got = append(got, b.From+"-"+b.To)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

func TestKindsOfSpansHaveRows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kinds, want string }{
		{"a b a c", "a:2 b:1 c:1"},
		{"a other b", "a:1 other:1 b:1"},
		{"a b c d e f g", "a:1 b:1 c:1 d:1 e:1 f:1 g:1"},
		{"a b c d e f g h i a other", "a:2 b:1 c:1 d:1 e:1 f:1 g:1 other:3"},
		{"other b c d e f g h i a", "other:4 b:1 c:1 d:1 e:1 f:1 g:1"},
	} {
		chart := Chart{}
		for n, kind := range strings.Fields(c.kinds) {
			chart.Spans = append(chart.Spans, Span{From: float64(n), To: float64(n), Kind: kind})
		}
		var got []string
		for _, track := range newPlot(&chart).drawTracks() {
			got = append(got, track.Kind+":"+strconv.Itoa(len(track.Bars)))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.kinds, got, c.want)
		}
	}
}

func TestDataTableIsBoundedAndKeepsExtremes(t *testing.T) {
	t.Parallel()
	s := Series{Name: "a"}
	for i := range 10_000 {
		s.Points = append(s.Points, Point{float64(i), 50})
	}
	s.Points[777].Y, s.Points[5555].Y = 99, 1
	p := newPlot(&Chart{Series: []Series{s, {Name: "b", Points: []Point{{3, 8}}}}})
	table := p.tabulateData()
	if n := len(table.Rows); !table.Grouped || n < mostRows || n > mostRows+1 {
		t.Fatalf("%d rows, grouped: %v", n, table.Grouped)
	}
	cells := make(map[string]bool)
	for _, row := range table.Rows {
		for _, cell := range row.Cells {
			cells[cell] = true
		}
	}
	for _, want := range []string{"50", "50 to 99", "1 to 50", "8", ""} {
		if !cells[want] {
			t.Errorf("no cell has %q", want)
		}
		delete(cells, want)
	}
	if len(cells) > 0 {
		t.Errorf("cells have %v, too", cells)
	}
}

func TestRenderChangesNothing(t *testing.T) {
	t.Parallel()
	points := []Point{{2, 1}, {1, math.Inf(1)}, {0, 5}}
	p := &Page{Charts: []Chart{{Series: []Series{{"a", slices.Clone(points)}}, Spans: []Span{{5, 2, "a", ""}}}}}
	if first, second := render(t, p), render(t, p); first != second {
		t.Error("the second rendering differs")
	}
	if !slices.Equal(p.Charts[0].Series[0].Points, points) || p.Charts[0].Spans[0] != (Span{5, 2, "a", ""}) {
		t.Errorf("the page was changed: %+v", p.Charts)
	}
}
