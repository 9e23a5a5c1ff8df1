package jetstream

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
		{"2.10.3", true},
		{"2.9.25", true},
		{"v2.10.3", true},
		{"1.99.99", true},
		{"2.10.3-RC.1", true},
		{"2.10.3+build", true},
		{"2.10.4", false},
		{"2.10.4-RC.1", false},
		{"2.10.10", false},
		{"2.11.0", false},
		{"3.0.0", false},
		{"", false},
		{"2", false},
		{"2.10", false},
		{"2.10.x", false},
		{"2.9.1.1", false},
		{"-1.0.0", false},
	} {
		if got := older(c.version, "2.10.4"); got != c.want {
			t.Errorf("%q is older than 2.10.4: %v; want %v", c.version, got, c.want)
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
		if !ok || again != n || older(version, version) {
			t.Errorf("%q: %v, then %v, %v", version, n, again, ok)
		}
	})
}
