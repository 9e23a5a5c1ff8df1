package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Unit is the unit of values. Those below are written with the prefixes that suit the value: 20 ms,
// 1.5 GiB. Values of any other unit, such as "events/s", get the prefixes k, M, G and T.
type Unit string

// The units that have prefixes, or none, of their own.
const (
	Seconds Unit = "s"
	MiB     Unit = "MiB"
	Percent Unit = "%"
)

// scale is a unit with its prefix.
type scale struct {
	size   float64 // in the unit
	suffix string
	from   float64 // what it is used from; zero: its size
}

var (
	ownScales = map[Unit][]scale{
		Seconds: {
			{size: 1e-9, suffix: " ns"},
			{size: 1e-6, suffix: " µs"},
			{size: 1e-3, suffix: " ms"},
			{size: 1, suffix: " s"},
			{size: 60, suffix: " min", from: 120},
			{size: 3600, suffix: " h", from: 7200},
		},
		MiB: {
			{size: 1. / (1 << 20), suffix: " B"},
			{size: 1. / (1 << 10), suffix: " KiB"},
			{size: 1, suffix: " MiB"},
			{size: 1 << 10, suffix: " GiB"},
			{size: 1 << 20, suffix: " TiB"},
		},
		Percent: {{size: 1, suffix: " %"}},
	}
	otherScales = []scale{{size: 1}, {size: 1e3, suffix: "k"}, {size: 1e6, suffix: "M"}, {size: 1e9, suffix: "G"}, {size: 1e12, suffix: "T"}}
)

func (u Unit) scales() []scale {
	if own, ok := ownScales[u]; ok {
		return own
	}
	return otherScales
}

// decimalScales are those that keep powers of ten round.
func (u Unit) decimalScales() []scale {
	return slices.DeleteFunc(slices.Clone(u.scales()), func(s scale) bool {
		exponent := math.Log10(s.size)
		return math.Abs(exponent-math.Round(exponent)) > 1e-9
	})
}

// chooseScale returns the largest scale that a value fills.
func chooseScale(scales []scale, value float64) scale {
	chosen := scales[0]
	for _, s := range scales {
		if math.Abs(value) >= cmp.Or(s.from, s.size)*(1-1e-9) {
			chosen = s
		}
	}
	return chosen
}

// formatValue writes a value with four significant digits.
func (u Unit) formatValue(v float64) string { return u.formatDigits(v, 4) }

// formatDigits writes a value with so many significant digits, but whole if it has more.
func (u Unit) formatDigits(v float64, digits int) string {
	s := chooseScale(u.scales(), v)
	return s.format(v, digits-1-exponentOf(v/s.size))
}

// format writes a value with at most that many decimals.
func (s scale) format(v float64, decimals int) string {
	scaled := v / s.size
	if scaled == 0 {
		return "0"
	}
	var number string
	if size := math.Abs(scaled); size >= 1e6 || size < 1e-4 {
		number = strconv.FormatFloat(scaled, 'g', 4, 64)
	} else {
		number = strconv.FormatFloat(scaled, 'f', min(max(decimals, 0), 8), 64)
		if strings.Contains(number, ".") {
			number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
		}
	}
	if positive, negative := strings.CutPrefix(number, "-"); negative {
		number = "\u2212" + positive
	}
	return number + s.suffix
}

// exponentOf returns the power of ten of a number's first digit.
func exponentOf(v float64) int {
	if v == 0 {
		return 0
	}
	return int(math.Floor(math.Log10(math.Abs(v)) + 1e-9))
}

// formatElapsed writes seconds as minutes and seconds, or hours, minutes and seconds.
func formatElapsed(seconds float64) string {
	sign := ""
	if seconds < 0 {
		sign, seconds = "\u2212", -seconds
	}
	whole := int64(math.Round(seconds))
	pad := func(n int64) string { return strconv.FormatInt(100+n, 10)[1:] }
	if whole < 3600 {
		return sign + strconv.FormatInt(whole/60, 10) + ":" + pad(whole%60)
	}
	return sign + strconv.FormatInt(whole/3600, 10) + ":" + pad(whole/60%60) + ":" + pad(whole%60)
}
