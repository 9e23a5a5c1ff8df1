package report

import (
	"math"
	"strconv"
	"strings"
)

// A plot is drawn in a square of this size, which the browser stretches.
const plotSize = 1000

// Lines differ by colour and by dashes. The numbers have no common divisor: all pairs are used.
const (
	colours = 8
	dashes  = 7
)

// fewPoints is how many points of a line are marked each.
const fewPoints = 24

// line is a series as it is drawn.
type line struct {
	Name, Peak   string
	Colour, Dash int
	// Path is the line, and Dots are the points that are marked, in the syntax of SVG.
	Path, Dots string
}

// drawLine draws a series, which is cleaned.
func (p *plot) drawLine(n int, s Series) line {
	l := line{Name: s.Name, Colour: n % colours, Dash: n % dashes}
	points := thinPoints(s.Points, p.x.at)
	values := rangeOf(points)
	if !values.isEmpty() {
		l.Peak = p.chart.Unit.formatDigits(values.high, 3)
	}
	var path, dots strings.Builder
	isGap := func(i int) bool { return i < 0 || i >= len(points) || math.IsNaN(points[i].Y) }
	for i := range points {
		if isGap(i) {
			continue
		}
		at := p.coordinates(points[i])
		if isGap(i-1) && isGap(i+1) || len(points) <= fewPoints {
			dots.WriteString("M" + at + "h0")
		}
		switch {
		case !isGap(i - 1):
			path.WriteString("L" + at)
		case !isGap(i + 1):
			path.WriteString("M" + at)
		}
	}
	l.Path, l.Dots = path.String(), dots.String()
	return l
}

// coordinates writes where a point is in the square.
func (p *plot) coordinates(at Point) string {
	x, y := p.place(at)
	return coordinate(x) + " " + coordinate(y)
}

// coordinate writes a place from 0 to 1 in the square.
func coordinate(place float64) string {
	return strconv.FormatFloat(math.Round(place*plotSize*10)/10, 'f', -1, 64)
}

// rangeOf returns the range of the points' values; gaps have none.
func rangeOf(points []Point) interval {
	values := newInterval()
	for _, p := range points {
		if !math.IsNaN(p.Y) {
			values.include(p.Y)
		}
	}
	return values
}
