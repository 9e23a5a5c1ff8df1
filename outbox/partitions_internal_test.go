package outbox

import (
	"testing"
	"time"
)

// The clock that measures a lease stands still while a machine sleeps; the wall clock tells that
// others have the partition by now.
func TestLeasesEndWhileAMachineSleeps(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		own, wall      time.Duration // what is left by each clock
		over, mayStart bool
	}{
		"leased":                   {time.Minute, time.Minute, false, true},
		"over":                     {-time.Second, -time.Second, true, false},
		"nearly over":              {time.Second, time.Second, false, false},
		"slept":                    {time.Minute, -time.Hour, true, false},
		"nearly over, after sleep": {time.Minute, time.Second, false, false},
		"put back":                 {-time.Second, time.Hour, true, false},
	} {
		p := heldPartition{localEnd: now.Add(c.own), wallEnd: now.Round(0).Add(c.wall)}
		if over, may := p.leaseOver(now), p.mayPublish(now, 30*time.Second); over != c.over || may != c.mayStart {
			t.Errorf("%s: over %t, may start %t", name, over, may)
		}
	}
	var p heldPartition
	if p.setLeaseEnd(now); !p.leaseOver(now) || !p.wallEnd.Equal(now) {
		t.Errorf("%+v", p)
	}
}
