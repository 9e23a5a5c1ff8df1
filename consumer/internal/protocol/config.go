package protocol

import (
	"cmp"
	"time"

	"github.com/onceish/onceish/bus"
)

// Config configures a Machine. Every field is required unless it says otherwise; package consumer
// validates it.
type Config struct {
	// Group is part of the letter ids.
	Group string
	// Owner begins every nonce. It must be unique over all processes, past ones included.
	Owner string
	// Process names the process in the history of an event.
	Process string
	// Concurrency is the number of slots: how many runs there may be at once.
	Concurrency int
	// MaxUnmarked is how many events may have started and not be settled in the store, running and
	// finished together: what a crash may repeat. Default, and minimum: Concurrency.
	MaxUnmarked int
	// MaxAhead bounds what is fetched, claimed or waiting for its key ahead of the slots, MaxBatch
	// a call to the store. Default: DefaultMaxAhead, DefaultMaxBatch.
	MaxAhead, MaxBatch int
	// MaxWaiting bounds the deliveries that wait for their order key, or for a copy that is in
	// flight. One key may have seven eighths of it. Default: DefaultMaxWaiting.
	MaxWaiting int
	// MaxBytes bounds the data of the deliveries that are in flight; half as much is kept of those
	// that were nacked, until they are redelivered. Default: DefaultMaxBytes.
	MaxBytes int
	// MaxAttempts is the number of failures after which an event is dead-lettered, MaxCrashes that
	// of crashes.
	MaxAttempts, MaxCrashes int
	// Backoff is how long a retry waits after a failure.
	Backoff Backoff
	// Lease is that of a claim, AckWait that of a delivery. Both are renewed at a third of them.
	Lease, AckWait time.Duration
	// RunLimit is how long a run may take.
	RunLimit time.Duration
	// Commit makes each run a transaction that ends with its own mark, and is how long a commit may
	// take after RunLimit. Its claim is not renewed while it runs, for its row is locked: the
	// transaction begins by renewing it for both. Default: 0, runs are marked afterwards.
	Commit time.Duration
	// TTL is how long the store keeps marks. An event that keeps failing is given up at half of it.
	TTL time.Duration
	// GiveUp is how old an event may get whose runs are Throttled or Unavailable, if that is less.
	// Default: TTL.
	GiveUp time.Duration
	// MaxAge is the stream's own limit. Default: none.
	MaxAge time.Duration
	// ArrivalsAreAttempts has arrivals stand for attempts, where the store counts none (mode
	// SeenMark). Default: false.
	ArrivalsAreAttempts bool
	// Owned says that this process is the only one that reads the topic, for as long as it owns it:
	// see SetOwnedUntil. Then order holds over all processes: an event that another process has or
	// may have holds up later ones of its key until it is settled, or taken over once its lease is
	// over. Default: false, all processes of the group read the topic, and order holds within each.
	Owned bool
	// HandledBeside reports whether the run of another event has also handled the one at a
	// position, and has settled it. Default: none was.
	HandledBeside func(at bus.Position) bool
	// Watermark is the group's. What it covers is acked unrun.
	Watermark bus.Position
	// Rand returns a number in [0, 1), for jitter.
	Rand func() float64
}

// The bounds of a Config that has none. The rate with nats.go's own loop as a baseline was 0.81 at
// 500 ahead, and 0.83 to 0.91 at 2,000. At a concurrency of 512, MongoDB handled a tenth more in
// calls of up to 1,000 than in calls of up to 500, which leave a few marks to a call of their own.
const (
	DefaultMaxAhead   = 2000
	DefaultMaxBatch   = 1000
	DefaultMaxWaiting = 10_000
	DefaultMaxBytes   = 64 << 20
)

// withDefaults fills in the bounds.
func (c Config) withDefaults() Config {
	c.MaxUnmarked = max(c.MaxUnmarked, c.Concurrency)
	c.MaxAhead = cmp.Or(c.MaxAhead, DefaultMaxAhead)
	c.MaxBatch = cmp.Or(c.MaxBatch, DefaultMaxBatch)
	c.MaxWaiting = cmp.Or(c.MaxWaiting, DefaultMaxWaiting)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.GiveUp = cmp.Or(c.GiveUp, c.TTL)
	return c
}

// maxWaitingPerKey leaves a reserve for the other keys.
func (c *Config) maxWaitingPerKey() int { return max(1, c.MaxWaiting-c.MaxWaiting/8) }

// TickEvery is how often Tick is to be called: often enough for every deadline of the Config.
func (c *Config) TickEvery() time.Duration {
	shortest := min(c.Lease, c.AckWait, c.RunLimit)
	return min(max(shortest/12, 5*time.Millisecond), time.Second)
}

// returnGrace is how long a run that was cancelled at the run limit may take to return, before it
// counts as failed all the same.
func (c *Config) returnGrace() time.Duration { return max(c.Lease/3, c.Commit) }

func (c *Config) isTransactional() bool { return c.Commit > 0 }

// minLeaseToStart is how much of its lease must be left when a run begins.
func (c *Config) minLeaseToStart() time.Duration { return c.Lease / 3 }

// freezeGrace is how long runs go on after a freeze although their lease is over by this process's
// clock, while the store is asked whose they are. A transaction's own mark decides that, so nothing
// is asked.
func (c *Config) freezeGrace() time.Duration {
	if c.isTransactional() {
		return 0
	}
	return c.Lease / 3
}

// firstLookup is how long after its due time an event that was nacked is first looked up. Further
// look-ups follow after as long again, doubling up to 5 s.
func (c *Config) firstLookup() time.Duration { return min(c.AckWait/3, time.Second) }

// lookupInterval is the least time between two rounds of look-ups.
const lookupInterval = 100 * time.Millisecond

// maxSlotWait is how long a claimed event may wait for a slot, a limit or a gate before it is given
// back.
func (c *Config) maxSlotWait() time.Duration { return c.Lease }
