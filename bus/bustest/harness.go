package bustest

import (
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

// Harness tells the suite how to make a bus and what may be done to it. Only New is required; the
// cases for a nil function are not run. The functions end the test (t.Fatal) when they fail. They
// are given the bus that New made.
type Harness struct {
	// New makes a bus with one empty stream. What it opens it closes by t.Cleanup; the suite closes
	// its sources before.
	New func(t *testing.T, s Stream) bus.Bus
	// Run runs one case, for example inside a testing/synctest bubble. Nil: as it is.
	Run func(t *testing.T, test func(t *testing.T))
	// AckWait is the deadline in the cases that wait for one. It must be long beside a round trip
	// under load, for the cases extend deadlines four times in it. Zero: 1 s.
	AckWait time.Duration
	// Patience is how long the suite waits for what must come. Zero: 10 s, and thrice AckWait.
	Patience time.Duration

	// NoPartitions leaves out the cases that subscribe to partitions or read them.
	NoPartitions bool

	// Delete removes events from the stream.
	Delete func(t *testing.T, b bus.Bus, sequences ...uint64)
	// Purge removes all events from the stream.
	Purge func(t *testing.T, b bus.Bus)
	// Recreate deletes the stream and makes it again, empty.
	Recreate func(t *testing.T, b bus.Bus)
	// DeleteGroup deletes the group's cursor.
	DeleteGroup func(t *testing.T, b bus.Bus, topic, group string)
	// Snapshot copies the stream, and returns what puts the copy in the stream's place. The
	// cursors may be copied with it or not. The bus, and connections to it, are usable again when
	// restore returns.
	Snapshot func(t *testing.T, b bus.Bus) (restore func(t *testing.T))
	// Backup copies the stream, and returns what deletes the stream and makes it again from the
	// copy without cursors, under another time of creation if the bus does not keep it.
	Backup func(t *testing.T, b bus.Bus) (restore func(t *testing.T))
	// StepClock sets the clock that stored times are read from.
	StepClock func(t *testing.T, b bus.Bus, by time.Duration)
	// Restart stops the server and starts it on what it has stored. The bus is usable again
	// when it returns.
	Restart func(t *testing.T, b bus.Bus)
	// NoSchedules leaves out the cases of bus.Scheduler: this server has no schedules.
	NoSchedules bool
}

// Stream is what a case needs of the bus. Zero values are the bus's own defaults.
type Stream struct {
	// Topics that the stream takes, wildcards included.
	Topics []string
	// WorkQueue: what one consumer has acknowledged is deleted.
	WorkQueue bool
	// MaxAge and MaxEvents are the stream's limits. Zero: unlimited.
	MaxAge    time.Duration
	MaxEvents int
	// DuplicateWindow is how long message ids are remembered. Zero: two minutes, or anything longer
	// than the case.
	DuplicateWindow time.Duration
	// Schedules: its events can be scheduled.
	Schedules bool
	// MaxUnsettled is the bound on unsettled deliveries of a group. Zero: bus.DefaultMaxUnsettled.
	MaxUnsettled int
}

func (h Harness) withDefaults() Harness {
	if h.Run == nil {
		h.Run = func(t *testing.T, test func(t *testing.T)) { t.Helper(); test(t) }
	}
	if h.AckWait <= 0 {
		h.AckWait = time.Second
	}
	if h.Patience <= 0 {
		h.Patience = max(10*time.Second, 3*h.AckWait)
	}
	return h
}
