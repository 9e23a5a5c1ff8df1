package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * day, "2w": 14 * day, "1w2d3h": 9*day + 3*time.Hour, "0.5d": 12 * time.Hour, ".5s": 500 * time.Millisecond,
		"500ms": 500 * time.Millisecond, "1us2µs3μs4ns": 6004 * time.Nanosecond, "0s": 0, "106751d": 106751 * day,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "5.5", "-5s", "+5s", "5 s", "5S", "5y", "s", "1..5s", "..5s", "1e3s", "5s ", "5s\n", "106752d", "15251w", "200000d100000d", "9999999999999999999999s", "1d-1s", "٣s"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	for d, want := range map[time.Duration]string{7 * day: "7d", 15 * time.Minute: "15m", 90 * time.Minute: "1h30m", time.Hour: "1h", 90 * time.Second: "1m30s", 0: "0s", 10 * time.Second: "10s", 25 * time.Hour: "25h", 1500 * time.Millisecond: "1.5s"} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"30s", "1w2d3h", "5", "-1s", ".5ms", "106752d", "1.s"} {
		f.Add(s, int64(1))
	}
	f.Fuzz(func(t *testing.T, s string, n int64) {
		d, err := ParseDuration(s)
		if err == nil && d < 0 {
			t.Errorf("%q is %v", s, d)
		}
		if std, stdErr := time.ParseDuration(s); stdErr == nil && err == nil && std != d {
			t.Errorf("%q is %v, and to Go %v", s, d, std)
		}
		if n < 0 {
			return
		}
		if again, err := ParseDuration(formatDuration(time.Duration(n))); err != nil || again != time.Duration(n) {
			t.Errorf("%d is %s is %d: %v", n, formatDuration(time.Duration(n)), again, err)
		}
	})
}

func TestRates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		perSecond float64
		burst     int
	}{"100/s": {100, 100}, "30/m": {.5, 1}, "120/m": {2, 2}, "3600 / h": {1, 1}, "1000000000/s": {1e9, 1e9}} {
		r, err := parseRate(text)
		if err != nil || r.perSecond() != want.perSecond || r.burstSize() != want.burst {
			t.Errorf("%s: %v %v %v", text, r.perSecond(), r.burstSize(), err)
		}
	}
	for _, text := range []string{"", "/", "5", "5/", "/s", "0/s", "-1/s", "1.5/s", "5/d", "5/s/s", "1000000001/s", "99999999999999999999/s", "5/S"} {
		if r, err := parseRate(text); err == nil {
			t.Errorf("%q is %v", text, r)
		}
	}
}

func FuzzRate(f *testing.F) {
	for _, s := range []string{"100/s", "3600 / h", "0/s", "5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRate(s)
		if err != nil {
			return
		}
		if again, err := parseRate(r.String()); err != nil || again != r {
			t.Errorf("%q is %v is %v: %v", s, r, again, err)
		}
		if _, err := (&Subscription{Rate: r}).Options(); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func TestInterpolation(t *testing.T) {
	t.Parallel()
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "a", "EMPTY": "", "R": "${A}", "_x1": "x"}[name]
		return v, ok
	}
	for text, want := range map[string]string{
		"": "", "plain": "plain", "${A}": "a", "x${A}y${A}": "xaya", "${B:b}": "b", "${B:}": "", "${EMPTY:b}": "", "${A:b}": "a", "${R}": "${A}", "${_x1}": "x", "${B:a:b c}": "a:b c", "${B:${A}": "${A",
		"$A": "$A", "$": "$", "$$": "$$", "$${A}": "${A}", "$$${A}": "$${A}", "$${A:b}": "${A:b}", "$${": "${", "${1}": "${1}", "${}": "${}", "${A%x}": "${A%x}", "${A B}": "${A B}", "${": "${", "{A}": "{A}", "$(A)": "$(A)", "é${A}é": "éaé",
	} {
		if got, _, err := expandVariables(text, env); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"${B}", "${A", "${A:b", "${A:-b}", "${A:=b}", "${A:+b}", "${A:?b}", "${TOPIC}", "${" + strings.Repeat("x", 200) + "}"} {
		if got, _, err := expandVariables(text, env); err == nil || got != "" {
			t.Errorf("%s: %q", text, got)
		}
	}
	if _, names, _ := expandVariables("${A} $A $${A} ${B:b}", env); !reflect.DeepEqual(names, []string{"A", "B"}) {
		t.Errorf("%q", names)
	}
}

// What holds no variable stays; what is escaped comes out as it was; errors hold no values.
func FuzzInterpolation(f *testing.F) {
	for _, s := range []string{"${A}", "$${A}", "${A:b}", "${A:-b}", "$", "${", "x${A"} {
		f.Add(s, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		env := func(name string) (string, bool) { return value, name == "A" }
		out, names, err := expandVariables(text, env)
		if err == nil && !strings.Contains(text, "${") && (out != text || len(names) > 0) {
			t.Errorf("%q is %q", text, out)
		}
		if err != nil && len(value) > 20 && !strings.Contains(text, value) && strings.Contains(err.Error(), value) {
			t.Errorf("%q: %v", text, err)
		}
		if again, _, err := expandVariables(strings.ReplaceAll(text, "${", "$${"), env); err != nil || again != text && !strings.Contains(text, "$${") {
			t.Errorf("%q escaped is %q: %v", text, again, err)
		}
	})
}
