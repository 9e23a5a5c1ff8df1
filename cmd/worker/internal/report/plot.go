package report

import "math"

// plot is a chart whose axes are known.
type plot struct {
	chart  *Chart
	series []Series // cleaned
	spans  []Span   // with an end
	x, y   *mapping
	empty  bool // nothing is drawn
}

func newPlot(c *Chart) *plot {
	p := &plot{chart: c}
	xs, ys, positive := newInterval(), newInterval(), newInterval()
	below100 := 0. // the highest percentile but the maximum
	for _, s := range c.Series {
		s.Points = cleanPoints(s.Points)
		p.series = append(p.series, s)
		for _, at := range s.Points {
			xs.include(at.X)
			if at.X < 100 {
				below100 = max(below100, at.X)
			}
			if math.IsNaN(at.Y) {
				continue
			}
			ys.include(at.Y)
			if at.Y > 0 {
				positive.include(at.Y)
			}
		}
	}
	p.empty = ys.isEmpty()
	if c.LogY {
		p.y = logMapping(positive, c.Unit)
	} else {
		p.y = linearMapping(ys, c.Unit)
	}
	if c.X == Percentile {
		p.x = percentileMapping(below100, xs.high >= 100)
		return p
	}
	p.spans = cleanSpans(c.Spans, xs)
	for _, s := range p.spans {
		xs.include(s.From)
		xs.include(s.To)
	}
	p.x = elapsedMapping(xs)
	return p
}

// cleanSpans gives each span an end. Those without a beginning begin with the chart.
func cleanSpans(spans []Span, xs interval) (clean []Span) {
	xs.include(0)
	for _, s := range spans {
		xs.include(orElse(s.From, 0))
		xs.include(orElse(s.To, 0))
	}
	for _, s := range spans {
		s.From, s.To = orElse(s.From, xs.low), orElse(s.To, xs.high)
		if s.To < s.From {
			s.To = xs.high
		}
		clean = append(clean, s)
	}
	return clean
}

// orElse returns a value that can be drawn: v or, if it is no finite number, another one.
func orElse(v, other float64) float64 {
	if v = limitValue(v); math.IsNaN(v) {
		return other
	}
	return v
}

// place returns where a point is in the plot, from 0 to 1: x from the left, y from the top.
func (p *plot) place(at Point) (x, y float64) {
	return p.x.at(at.X), 1 - p.y.at(at.Y)
}

// xLabel says what the X axis is.
func (p *plot) xLabel() string {
	if p.chart.X == Percentile {
		return "percentile"
	}
	return "time since start"
}

// yLabel says what the Y axis is, as far as its ticks do not.
func (p *plot) yLabel() string {
	unit := string(p.chart.Unit)
	if _, ok := ownScales[p.chart.Unit]; ok {
		unit = ""
	}
	switch {
	case !p.chart.LogY:
		return unit
	case unit == "":
		return "logarithmic"
	}
	return unit + ", logarithmic"
}

// formatX writes a value of the X axis.
func (p *plot) formatX(v float64) string {
	if p.chart.X == Percentile {
		return scale{size: 1}.format(v, mostNines-2)
	}
	return scale{size: 1}.format(v, 3)
}
