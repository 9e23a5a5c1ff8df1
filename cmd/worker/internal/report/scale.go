package report

import (
	"math"
	"strconv"
)

// Values beyond these bounds are drawn at them: what is computed with them must not overflow.
const (
	largest  = 1e300
	smallest = 1e-300
)

// mapping maps the values of an axis to positions from 0 to 1.
type mapping struct {
	position func(float64) float64
	ticks    []tick
}

// at returns the position of a value. A value that is outside of the axis is moved to its end.
func (m *mapping) at(v float64) float64 { return min(max(m.position(v), 0), 1) }

// interval is a range of values. Its zero value is not empty: use newInterval.
type interval struct{ low, high float64 }

func newInterval() interval { return interval{math.Inf(1), math.Inf(-1)} }

func (i *interval) include(v float64) {
	i.low, i.high = min(i.low, v), max(i.high, v)
}

func (i *interval) isEmpty() bool { return i.low > i.high }

// limitValue makes a value one that can be drawn; NaN and infinite ones become NaN.
func limitValue(v float64) float64 {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return math.NaN()
	case math.Abs(v) < smallest:
		return 0
	}
	return min(max(v, -largest), largest)
}

// linearMapping is that of an axis from zero to the values, or around it.
func linearMapping(values interval, unit Unit) *mapping {
	values.include(0)
	if values.low == values.high {
		values.high = 1
	}
	const parts = 5
	s := chooseScale(unit.scales(), max(-values.low, values.high))
	step := roundStep((values.high-values.low)/s.size, parts) * s.size
	low, high := math.Floor(values.low/step+1e-6)*step, math.Ceil(values.high/step-1e-6)*step
	return &mapping{
		position: func(v float64) float64 { return (v - low) / (high - low) },
		ticks:    linearTicks(low, high, int(math.Round((high-low)/step)), unit),
	}
}

// logMapping is that of a logarithmic axis over the values above zero.
func logMapping(values interval, unit Unit) *mapping {
	if values.isEmpty() {
		values = interval{1, 10}
	}
	low, high := roundDown(values.low), roundUp(values.high)
	if low == high {
		high = roundUp(low * 1.5)
	}
	if math.Log10(high)-math.Log10(low) > 2 { // only decades are labelled
		low, high = math.Pow(10, float64(exponentOf(low))), math.Pow(10, math.Ceil(math.Log10(high)-1e-9))
	}
	length := math.Log10(high) - math.Log10(low)
	return &mapping{
		position: func(v float64) float64 {
			if v <= low {
				return 0
			}
			return (math.Log10(v) - math.Log10(low)) / length
		},
		ticks: logTicks(low, high, 6, unit),
	}
}

// elapsedMapping is that of an axis of time from the start, or from what was before it.
func elapsedMapping(values interval) *mapping {
	values.include(0)
	if values.low == values.high {
		values.high = 1
	}
	return &mapping{
		position: func(v float64) float64 { return (v - values.low) / (values.high - values.low) },
		ticks:    elapsedTicks(values.low, values.high, 8),
	}
}

// mostNines is how many nines of a percentile are told apart.
const mostNines = 9

// percentileMapping is that of an axis which gives each nine the same room. The highest percentile
// below 100 decides how many there are. A maximum, if there is one, has an end of its own.
func percentileMapping(below100 float64, hasMaximum bool) *mapping {
	whole := max(2, math.Ceil(countNines(below100)-1e-6))
	length := whole
	m := &mapping{ticks: []tick{{0, "0"}, {50, "50"}}}
	for n := 1; n <= int(whole); n++ {
		m.ticks = append(m.ticks, tick{100 - math.Pow(10, float64(2-n)), percentileLabel(n)})
	}
	if hasMaximum {
		length += 0.5
		m.ticks = append(m.ticks, tick{100, "max"})
	}
	m.position = func(v float64) float64 {
		if v >= 100 {
			return 1
		}
		return countNines(v) / length
	}
	return m
}

// countNines returns how many nines a percentile below 100 has: 0 for 0, 1 for 90, 2 for 99, a
// little more for 99.5.
func countNines(percentile float64) float64 {
	return min(-math.Log10(1-max(percentile, 0)/100), mostNines)
}

// percentileLabel writes a percentile of so many nines: 99.9 for 3.
func percentileLabel(nines int) string {
	return strconv.FormatFloat(100-math.Pow(10, float64(2-nines)), 'f', max(nines-2, 0), 64)
}
