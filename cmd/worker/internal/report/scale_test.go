package report

import (
	"strings"
	"testing"
)

func tickLabels(m *mapping) string {
	var all []string
	for _, t := range m.ticks {
		all = append(all, t.label)
	}
	return strings.Join(all, ", ")
}

func TestTicksAreRound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mapping *mapping
		want    string
	}{
		{linearMapping(interval{3, 713}, "events/s"), "0, 200, 400, 600, 800"},
		{linearMapping(interval{0, 1200}, "events/s"), "0, 0.5k, 1k, 1.5k"},
		{linearMapping(interval{0, 9.7e6}, ""), "0, 2M, 4M, 6M, 8M, 10M"},
		{linearMapping(interval{0, 3}, ""), "0, 1, 2, 3"},
		{linearMapping(interval{0, 0.03}, ""), "0, 0.01, 0.02, 0.03"},
		{linearMapping(interval{-3, 4}, ""), "\u22124, \u22122, 0, 2, 4"},
		{linearMapping(interval{5, 5}, ""), "0, 1, 2, 3, 4, 5"},
		{linearMapping(newInterval(), ""), "0, 0.2, 0.4, 0.6, 0.8, 1"},
		{linearMapping(interval{0, 0.042}, Seconds), "0, 10 ms, 20 ms, 30 ms, 40 ms, 50 ms"},
		{linearMapping(interval{0, 2e-6}, Seconds), "0, 0.5 µs, 1 µs, 1.5 µs, 2 µs"},
		{linearMapping(interval{0, 100}, Seconds), "0, 20 s, 40 s, 60 s, 80 s, 100 s"},
		{linearMapping(interval{0, 600}, Seconds), "0, 2 min, 4 min, 6 min, 8 min, 10 min"},
		{linearMapping(interval{40, 217}, MiB), "0, 50 MiB, 100 MiB, 150 MiB, 200 MiB, 250 MiB"},
		{linearMapping(interval{0, 2500}, MiB), "0, 0.5 GiB, 1 GiB, 1.5 GiB, 2 GiB, 2.5 GiB"},
		{linearMapping(interval{0, 1600}, Percent), "0, 500 %, 1000 %, 1500 %, 2000 %"},
		{logMapping(interval{0.0008, 14}, Seconds), "100 µs, 1 ms, 10 ms, 100 ms, 1 s, 10 s, 100 s"},
		{logMapping(interval{0.003, 0.012}, Seconds), "2 ms, 5 ms, 10 ms, 20 ms"},
		{logMapping(interval{7, 7}, ""), "5, 10"},
		{logMapping(interval{10, 10}, ""), "10, 20"},
		{logMapping(newInterval(), ""), "1, 2, 5, 10"},
		{logMapping(interval{1, 3000}, Seconds), "1 s, 10 s, 100 s, 1000 s, 10000 s"},
		{logMapping(interval{0.01, 3000}, MiB), "0.01 MiB, 0.1 MiB, 1 MiB, 10 MiB, 100 MiB, 1000 MiB, 10000 MiB"},
		{elapsedMapping(interval{0, 10}), "0, 2 s, 4 s, 6 s, 8 s, 10 s"},
		{elapsedMapping(interval{5, 61}), "0, 10 s, 20 s, 30 s, 40 s, 50 s, 60 s"},
		{elapsedMapping(interval{0, 180}), "0:00, 0:30, 1:00, 1:30, 2:00, 2:30, 3:00"},
		{elapsedMapping(interval{0, 3 * 3600}), "0:00, 30:00, 1:00:00, 1:30:00, 2:00:00, 2:30:00, 3:00:00"},
		{elapsedMapping(interval{-200, 400}), "\u22122:00, 0:00, 2:00, 4:00, 6:00"},
		{elapsedMapping(newInterval()), "0, 0.2 s, 0.4 s, 0.6 s, 0.8 s, 1 s"},
		{percentileMapping(99.9, false), "0, 50, 90, 99, 99.9"},
		{percentileMapping(99.95, true), "0, 50, 90, 99, 99.9, 99.99, max"},
		{percentileMapping(0, false), "0, 50, 90, 99"},
	} {
		if got := tickLabels(c.mapping); got != c.want {
			t.Errorf("ticks are %s, want %s", got, c.want)
		}
	}
}

func TestValuesHaveFourDigitsAndAPrefix(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		unit  Unit
		value float64
		want  string
	}{
		{"", 0, "0"},
		{"", 12.345, "12.35"},
		{"", 12345, "12.35k"},
		{"events/s", 999.96, "1000"},
		{"", -1500, "\u22121.5k"},
		{"", 1e20, "1e+08T"},
		{"", 0.00001, "1e-05"},
		{Seconds, 0.0123456, "12.35 ms"},
		{Seconds, 1e-3, "1 ms"},
		{Seconds, 90, "90 s"},
		{Seconds, 150, "2.5 min"},
		{Seconds, 86400, "24 h"},
		{Seconds, 1e-12, "0.001 ns"},
		{MiB, 1536, "1.5 GiB"},
		{MiB, 0.5, "512 KiB"},
		{Percent, 1234.5, "1234 %"},
	} {
		if got := c.unit.formatValue(c.value); got != c.want {
			t.Errorf("%v %s is written %s, want %s", c.value, c.unit, got, c.want)
		}
	}
}

// Each nine has the same room, and the maximum the end.
func TestPercentilesHaveTheirPlaces(t *testing.T) {
	t.Parallel()
	m := percentileMapping(99.9, true)
	for value, want := range map[float64]float64{-1: 0, 0: 0, 50: 0.0860, 90: 0.2857, 99: 0.5714, 99.9: 0.8571, 99.99: 1, 100: 1, 200: 1} {
		if got := m.at(value); got < want-1e-4 || got > want+1e-4 {
			t.Errorf("%v is at %v, want %v", value, got, want)
		}
	}
}
