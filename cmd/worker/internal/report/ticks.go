package report

import "math"

// linearSteps, logSteps: what ticks of a decade are multiples of.
var (
	linearSteps = []float64{1, 2, 5, 10}
	logSteps    = []float64{1, 2, 5}
)

// tick is a mark on an axis.
type tick struct {
	value float64
	label string
}

// roundStep returns the smallest round step that divides a span into at most that many parts.
func roundStep(span float64, parts int) float64 {
	least := span / float64(parts)
	decade := math.Pow(10, math.Floor(math.Log10(least)))
	for _, s := range linearSteps {
		if s*decade >= least*(1-1e-9) {
			return s * decade
		}
	}
	return 10 * decade
}

// linearTicks returns round values from low to high, a bit of rounding aside.
func linearTicks(low, high float64, parts int, unit Unit) []tick {
	s := chooseScale(unit.scales(), max(math.Abs(low), math.Abs(high)))
	step := roundStep((high-low)/s.size, parts) * s.size
	decimals := -exponentOf(step / s.size)
	return stepTicks(low, high, step, func(v float64) string { return s.format(v, decimals) })
}

// stepTicks returns the multiples of step from low to high.
func stepTicks(low, high, step float64, label func(float64) string) (ticks []tick) {
	first, last := math.Ceil(low/step-1e-6), math.Floor(high/step+1e-6)
	for n := range int(last-first) + 1 {
		v := (first + float64(n)) * step
		ticks = append(ticks, tick{v, label(v)})
	}
	return ticks
}

// elapsedSteps are the round steps of a clock, in seconds.
var elapsedSteps = []float64{15, 30, 60, 120, 300, 600, 900, 1800, 3600, 2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 48 * 3600, 96 * 3600}

// elapsedTicks returns times: up to two minutes in seconds, then as on a clock.
func elapsedTicks(low, high float64, parts int) []tick {
	longest := elapsedSteps[len(elapsedSteps)-1] * float64(parts)
	if high-low <= 120 || high-low > longest || max(math.Abs(low), math.Abs(high)) > 1e3*longest {
		return linearTicks(low, high, parts, Seconds)
	}
	step := elapsedSteps[0]
	for _, step = range elapsedSteps {
		if (high-low)/step <= float64(parts) {
			break
		}
	}
	return stepTicks(low, high, step, formatElapsed)
}

// logTicks returns decades from low to high, with 2 and 5 between them if there is room.
func logTicks(low, high float64, parts int, unit Unit) (ticks []tick) {
	scales := unit.decimalScales()
	decades := math.Log10(high) - math.Log10(low)
	every := int(math.Ceil(decades / float64(parts)))
	steps := logSteps
	if decades > 2 {
		steps = steps[:1]
	}
	first := exponentOf(low)
	for e := first; e <= exponentOf(high); e++ {
		for _, s := range steps {
			v := s * math.Pow(10, float64(e))
			if (e-first)%max(every, 1) == 0 && v >= low*(1-1e-9) && v <= high*(1+1e-9) {
				ticks = append(ticks, tick{v, chooseScale(scales, v).format(v, max(0, 1-exponentOf(v)))})
			}
		}
	}
	return ticks
}

// roundDown returns the largest 1, 2 or 5 times a power of ten that is not above v.
func roundDown(v float64) float64 {
	decade := math.Pow(10, float64(exponentOf(v)))
	rounded := decade
	for _, s := range logSteps {
		if s*decade <= v*(1+1e-9) {
			rounded = s * decade
		}
	}
	return rounded
}

// roundUp returns the smallest 1, 2 or 5 times a power of ten that is not below v.
func roundUp(v float64) float64 {
	decade := math.Pow(10, float64(exponentOf(v)))
	for _, s := range logSteps {
		if s*decade >= v*(1-1e-9) {
			return s * decade
		}
	}
	return 10 * decade
}
