package protocol

import (
	"time"

	"github.com/onceish/onceish/bus"
)

// Config of a Machine. Every field is required unless it says otherwise; the consumer validates and fills it.
type Config struct {
	// Group is part of the letter ids.
	Group string
	// Owner begins every nonce. It must be unique over all processes and lives.
	Owner string
	// Concurrency is the number of slots: how many runs there are at once.
	Concurrency int
	// MaxAttempts is the number of failures at which an event is given up, MaxCrashes that of crashes.
	MaxAttempts, MaxCrashes int
	// Backoff is waited for after a failure.
	Backoff Backoff
	// Lease of a claim, AckWait of a delivery: both are renewed at a third of their length.
	Lease, AckWait time.Duration
	// RunLimit ends a run.
	RunLimit time.Duration
	// Commit makes each run a transaction that ends with its own mark, and is how long a commit may take after RunLimit. Its claim is
	// not renewed while it runs, for its row is locked: the transaction begins by renewing it for both. Zero: runs are marked
	// afterwards.
	Commit time.Duration
	// TTL of what the store keeps. An event that keeps failing is given up at half of it.
	TTL time.Duration
	// MaxAge is the stream's own limit. Zero: none.
	MaxAge time.Duration
	// ArrivalsAreAttempts: the store counts nothing (seen/mark), so arrivals stand for attempts.
	ArrivalsAreAttempts bool
	// Watermark: what it covers is acknowledged unrun.
	Watermark bus.Position
	// Rand returns a number in [0, 1), for jitter.
	Rand func() float64
}

const (
	// maxAhead bounds what is fetched or claimed ahead of the slots; it is also the largest batch that a store is asked for, and
	// how many deliveries may wait for their key.
	maxAhead = 500
	// maxUnmarked bounds the runs that have ended and are not settled yet: two batches.
	maxUnmarked = 2 * maxAhead
)

// TickEvery is how often Tick wants to be called: often enough for every deadline that the Config knows.
func (c *Config) TickEvery() time.Duration {
	shortest := min(c.Lease, c.AckWait, c.RunLimit)
	return min(max(shortest/12, 5*time.Millisecond), time.Second)
}

// grace is how long a cancelled run may take to return at the run limit before it counts as failed without.
func (c *Config) grace() time.Duration { return max(c.Lease/3, c.Commit) }

func (c *Config) transactional() bool { return c.Commit > 0 }

// ahead is how much of its lease a run needs when it begins.
func (c *Config) ahead() time.Duration { return c.Lease / 3 }

// maxWait is how long a claimed event may wait for a slot, a limit or a gate before it is given back.
func (c *Config) maxWait() time.Duration { return c.Lease }
