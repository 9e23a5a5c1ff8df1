package report

import (
	"cmp"
	"math"
	"slices"
)

// columns is how many columns of a plot are told apart: about its width in pixels on a wide screen.
// A column keeps at most five points: its first, lowest, highest and last one, and a gap.
const columns = 700

// cleanPoints returns the points that can be drawn, in the order of their X. A Y that is NaN is
// a gap.
func cleanPoints(points []Point) []Point {
	clean := make([]Point, 0, len(points))
	for _, p := range points {
		if x := limitValue(p.X); !math.IsNaN(x) {
			clean = append(clean, Point{x, limitValue(p.Y)})
		}
	}
	slices.SortStableFunc(clean, func(a, b Point) int { return cmp.Compare(a.X, b.X) })
	return clean
}

// thinPoints drops the points that cannot be told apart from others in their column of the plot.
// The points are ordered, and at returns the place of an X from 0 to 1.
func thinPoints(points []Point, at func(x float64) float64) []Point {
	if len(points) <= 2*columns {
		return points
	}
	var kept []Point
	for from := 0; from < len(points); {
		column := math.Floor(at(points[from].X) * columns)
		to := from + 1
		for to < len(points) && math.Floor(at(points[to].X)*columns) == column {
			to++
		}
		kept = append(kept, thinColumn(points[from:to])...)
		from = to
	}
	return kept
}

// thinColumn returns the first, lowest, highest and last point of a column, and a gap if it has
// one, in their order.
func thinColumn(points []Point) (kept []Point) {
	keep := []int{0, len(points) - 1}
	lowest, highest := -1, -1
	for i, p := range points {
		switch {
		case math.IsNaN(p.Y):
			if len(keep) == 2 {
				keep = append(keep, i)
			}
			continue
		case lowest < 0:
			lowest, highest = i, i
		case p.Y < points[lowest].Y:
			lowest = i
		case p.Y > points[highest].Y:
			highest = i
		}
	}
	if lowest >= 0 {
		keep = append(keep, lowest, highest)
	}
	slices.Sort(keep)
	for _, i := range slices.Compact(keep) {
		kept = append(kept, points[i])
	}
	return kept
}
