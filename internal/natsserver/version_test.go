package natsserver

import (
	"fmt"
	"testing"
)

func TestOlder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version string
		want    bool
	}{
		{"2.10.29", true},
		{"2.9.25", true},
		{"v2.10.29", true},
		{"1.99.99", true},
		{"2.10.29-RC.1", true},
		{"2.10.29+build", true},
		{"2.11.0", false},
		{"2.11.0-RC.1", false},
		{"2.11.10", false},
		{"2.12.0", false},
		{"3.0.0", false},
		{"", false},
		{"2", false},
		{"2.9", false},
		{"2.9.x", false},
		{"2.9.1.1", false},
		{"-1.0.0", false},
	} {
		if got := Older(c.version, Oldest); got != c.want {
			t.Errorf("%q is older than the oldest: %v; want %v", c.version, got, c.want)
		}
	}
}

func FuzzNumbers(f *testing.F) {
	f.Add("2.11.0-RC.1")
	f.Add("v2.12.8-fips")
	f.Fuzz(func(t *testing.T, version string) {
		n, ok := numbers(version)
		if !ok {
			return
		}
		again, ok := numbers(fmt.Sprintf("%d.%d.%d", n[0], n[1], n[2]))
		if !ok || again != n || Older(version, version) {
			t.Errorf("%q: %v, then %v, %v", version, n, again, ok)
		}
	})
}
