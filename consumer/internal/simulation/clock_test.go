package simulation

import (
	"time"
)

// epoch is when every simulation begins, as the wall has it.
var epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// clock is how one party sees the time: off by skew, and running fast by so many millionths.
type clock struct {
	sim   *simulation
	skew  time.Duration
	drift int64
}

func (c clock) now() time.Time { return c.at(c.sim.elapsed) }

func (c clock) at(t time.Duration) time.Time {
	return epoch.Add(t + c.skew + t/1_000_000*time.Duration(c.drift))
}
