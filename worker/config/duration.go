package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// durationForm is what durations look like, for JSON Schema too.
const durationForm = `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w))*$`

const (
	day = 24 * time.Hour
	// maxDurationText is more bytes than a duration needs.
	maxDurationText = 128
)

var (
	durationWhole = regexp.MustCompile(durationForm)
	durationPart  = regexp.MustCompile(`([0-9.]+)([a-zµμ]+)`)
	bareNumber    = regexp.MustCompile(`^\d+(\.\d+)?$`)
)

var errDurationRange = errors.New("longer than 292 years")

// ParseDuration takes what time.ParseDuration does, but signs and numbers without a unit, and also
// days (d) and weeks (w).
func ParseDuration(s string) (time.Duration, error) {
	if len(s) > maxDurationText || !durationWhole.MatchString(s) {
		switch {
		case len(s) > maxDurationText:
		case bareNumber.MatchString(s):
			return 0, fmt.Errorf("%s has no unit: write %ss for seconds, or %sms, %sm, %sh, %sd", quoteShort(s), s, s, s, s, s)
		case strings.HasPrefix(s, "-"):
			return 0, fmt.Errorf("%s is negative: write a duration such as 30s", quoteShort(s))
		}
		return 0, fmt.Errorf("%s is no duration: write one such as 500ms, 30s, 15m, 12h or 7d", quoteShort(s))
	}
	var sum time.Duration
	for _, part := range durationPart.FindAllStringSubmatch(s, -1) {
		d, err := parsePart(part[1], part[2])
		if err != nil || sum > math.MaxInt64-d {
			return 0, fmt.Errorf("%s is %w", quoteShort(s), errDurationRange)
		}
		sum += d
	}
	return sum, nil
}

func parsePart(number, unit string) (time.Duration, error) {
	days := map[string]time.Duration{"d": day, "w": 7 * day}[unit]
	if days == 0 {
		return time.ParseDuration(number + unit)
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, err
	}
	if n *= float64(days); n >= math.MaxInt64 {
		return 0, errDurationRange
	}
	return time.Duration(n), nil
}

// FormatDuration is the shortest text that ParseDuration takes for the duration: 7d, 15m, 1m30s.
func FormatDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
