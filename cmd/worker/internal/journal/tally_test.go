package journal

import (
	"testing"
	"time"
)

func at(ms int) time.Time { return time.Unix(1_000_000, 0).Add(time.Duration(ms) * time.Millisecond) }

func did(id string, pid, ms int) Record { return Record{What: Effect, ID: id, PID: pid, At: at(ms)} }

// A repeat is explained by a claim that its first process lost, and by no other's.
func TestLostClaimExplainsARepeat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pid, repeats, mystery int }{{1, 1, 0}, {2, 1, 1}, {1, 2, 1}} {
		b := NewTally([]string{"a"})
		b.Add([]Record{did("a", 1, 0), {What: Lost, ID: "a", PID: c.pid, At: at(50)}})
		for range c.repeats {
			b.Add([]Record{did("a", 1, 2000)})
		}
		if n, _ := b.CountUnexplained(nil, 16); n != c.mystery {
			t.Errorf("%+v: %d unexplained", c, n)
		}
	}
}
