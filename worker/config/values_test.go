package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
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
		if got := FormatDuration(d); got != want {
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
		if again, err := ParseDuration(FormatDuration(time.Duration(n))); err != nil || again != time.Duration(n) {
			t.Errorf("%d is %s is %d: %v", n, FormatDuration(time.Duration(n)), again, err)
		}
	})
}

func TestRates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]flow.Rate{
		"100/s":        {Limit: 100, Per: time.Second, Burst: 100},
		"30/m":         {Limit: 30, Per: time.Minute, Burst: 1},
		"120/m":        {Limit: 120, Per: time.Minute, Burst: 2},
		"3600 / h":     {Limit: 3600, Per: time.Hour, Burst: 1},
		"1000000000/s": {Limit: 1e9, Per: time.Second, Burst: 1e9},
		"2":            {Limit: 2, Per: 2 * time.Second},
	} {
		limit, err := parseStarts(text)
		if r := (&Rate{Limit: limit, Per: 2 * time.Second}); err != nil || r.FlowRate() != want {
			t.Errorf("%s: %+v %v", text, r.FlowRate(), err)
		}
	}
	for _, text := range []string{"", "/", "5/", "/s", "0", "0/s", "-1/s", "1.5/s", "1.5", "010", "0x10", "5/d", "5/s/s", "1000000001", "1000000001/s", "99999999999999999999/s", "5/S"} {
		if r, err := parseStarts(text); err == nil {
			t.Errorf("%q is %v", text, r)
		}
	}
}

// What the file takes a limiter takes, and what a limiter takes can be written.
func TestBoundsOfRatesAreTheLimiters(t *testing.T) {
	t.Parallel()
	for _, r := range []flow.Rate{
		{Limit: maxStarts, Per: time.Millisecond, Burst: maxStarts}, {Limit: 1, Per: maxRatePer}, {Limit: maxLogStarts, Per: maxRatePer, Strategy: flow.SlidingLog},
	} {
		if err := r.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, r := range []flow.Rate{
		{Limit: maxStarts + 1, Per: time.Second},
		{Limit: 1, Per: maxRatePer + 1},
		{Limit: 1, Per: time.Millisecond - 1},
		{Limit: 1, Per: time.Second, Burst: maxStarts + 1},
		{Limit: maxLogStarts + 1, Per: time.Second, Strategy: flow.SlidingLog},
		{Limit: 1, Per: time.Second, Strategy: flow.SlidingLog + 1},
	} {
		if r.Validate() == nil {
			t.Errorf("a limiter takes %+v", r)
		}
	}
	for keys, ok := range map[int]bool{maxLimitKeys: true, maxLimitKeys + 1: false} {
		if _, err := flow.NewLocal(flow.Rate{Limit: 1, Per: time.Second}, &flow.LocalOptions{MaxKeys: keys}); (err == nil) != ok {
			t.Errorf("%d keys: %v", keys, err)
		}
	}
}

func TestRatesPerSecond(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"500/s": 500, "30/m": 0.5, "9/h": 0.0025} {
		if got, err := ParsePerSecond(text); err != nil || got != want {
			t.Errorf("%s is %v per second, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "500", "0/s", "5/d"} {
		if got, err := ParsePerSecond(text); err == nil {
			t.Errorf("%q is %v per second", text, got)
		}
	}
}

func FuzzRate(f *testing.F) {
	for _, s := range []string{"100/s", "3600 / h", "0/s", "5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseStarts(s)
		if err != nil {
			return
		}
		if again, err := parseStarts(r.String()); err != nil || again != r {
			t.Errorf("%q is %v is %v: %v", s, r, again, err)
		}
		if _, err := (&Subscription{Rate: &Rate{Limit: r, Per: time.Second}}).Options(); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func TestConcurrencies(t *testing.T) {
	t.Parallel()
	f := concurrencyField("concurrency", func(c *Concurrency) *Concurrency { return c }, consumer.OptionLimits().Concurrency, 16)
	for text, want := range map[string]Concurrency{
		"1": {Max: 1}, "100000": {Max: 100_000}, "auto": {Min: 1, Max: 64}, "auto:2-32": {Min: 2, Max: 32}, "auto:1-1": {Min: 1, Max: 1}, "auto:1-100000": {Min: 1, Max: 100_000},
	} {
		got, err := f.parse(text)
		if err != nil || got != want || got.String() != text || got.IsAuto() != (want.Min > 0) {
			t.Errorf("%s: %+v, %s: %v", text, got, got, err)
		}
	}
	for _, text := range []string{
		"", "0", "-1", "01", "1.5", "100001", "2-32", "auto:", "auto:2", "auto:-2", "auto:2-", "auto:0-2", "auto:02-3", "auto:3-2", "auto:1-100001", "auto: 1-2", "Auto", "auto:1-99999999999999999999", "99999999999999999999",
	} {
		if got, err := f.parse(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
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
