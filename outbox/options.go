package outbox

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// AfterDead is what happens to the rows of a key behind one that is dead.
type AfterDead uint8

const (
	// Block: they wait until an Admin has retried or dropped it. The default: a key was given to
	// have an order.
	Block AfterDead = iota
	// GoOn: they are published.
	GoOn
)

// Options of NewDrainer. The zero value means the defaults.
type Options struct {
	// Owner names this drainer among others; host, process and something random. Two with one name
	// would take each other's leases for their own.
	Owner string
	// Lease of partitions, renewed at a third of it; 10 s. A crashed drainer's rows wait for it to
	// end. At least 100 ms.
	Lease time.Duration
	// Publishers is how many calls to the bus there are at once; 4.
	Publishers int
	// Batch is how many events are published in one call, at most; 500.
	Batch int
	// MaxRows bounds the rows in memory: waiting, being published and not yet marked; 10,000.
	// At least 100.
	MaxRows int
	// MaxBytes bounds their size in memory, by Size; 64 MiB. One row may exceed it.
	MaxBytes int
	// MaxAttempts is the number of refusals at which a row is dead; 10.
	MaxAttempts int
	// Backoff after a refusal; 1 s doubling to 5 min, full jitter.
	Backoff Backoff
	// AfterDead; Block.
	AfterDead AfterDead
	// PollMin and PollMax bound how long an idle drainer waits before it looks for rows again,
	// unless it is woken; 10 ms doubling to 1 s. A scheduled row is found within PollMax of its
	// time, and published within twice that, whoever has its partition.
	PollMin, PollMax time.Duration
	// Drain is how long publishing and marking may go on when Run ends; 10 s.
	Drain time.Duration
	// Logger; slog.Default().
	Logger *slog.Logger
}

// Backoff grows from Base, doubling with every attempt, up to Max; what is waited is drawn evenly
// between nothing and that.
type Backoff struct{ Base, Max time.Duration }

func (b Backoff) jitteredDelay(attempt int, random float64) time.Duration {
	return time.Duration(random * float64(backoff.Doubled(b.Base, attempt-1, b.Max)))
}

func (o *Options) withDefaults() (Options, error) {
	out := *cmp.Or(o, &Options{})
	if out.Owner == "" {
		host, _ := os.Hostname() // it is there to be read by people
		out.Owner = fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:10])
	}
	out.Lease = cmp.Or(out.Lease, 10*time.Second)
	out.Publishers = cmp.Or(out.Publishers, 4)
	out.Batch = cmp.Or(out.Batch, 500)
	out.MaxRows = cmp.Or(out.MaxRows, 10_000)
	out.MaxBytes = cmp.Or(out.MaxBytes, 64<<20)
	out.MaxAttempts = cmp.Or(out.MaxAttempts, 10)
	out.Backoff.Base = cmp.Or(out.Backoff.Base, time.Second)
	out.Backoff.Max = cmp.Or(out.Backoff.Max, max(5*time.Minute, out.Backoff.Base))
	out.PollMin = cmp.Or(out.PollMin, 10*time.Millisecond)
	out.PollMax = cmp.Or(out.PollMax, max(time.Second, out.PollMin))
	out.Drain = cmp.Or(out.Drain, 10*time.Second)
	out.Logger = cmp.Or(out.Logger, slog.Default())
	err := out.validate()
	return out, err
}

func (o *Options) validate() error {
	return errors.Join(
		checkRange("Lease", o.Lease, 100*time.Millisecond, 24*time.Hour),
		checkRange("Publishers", o.Publishers, 1, 1_000),
		checkRange("Batch", o.Batch, 1, 100_000),
		checkRange("MaxRows", o.MaxRows, 100, 100_000_000),
		checkRange("MaxBytes", o.MaxBytes, 1<<10, 1<<40),
		checkRange("MaxAttempts", o.MaxAttempts, 1, 1_000_000),
		checkRange("Backoff.Base", o.Backoff.Base, time.Millisecond, 24*time.Hour),
		checkRange("Backoff.Max", o.Backoff.Max, o.Backoff.Base, 30*24*time.Hour),
		checkRange("AfterDead", int(o.AfterDead), int(Block), int(GoOn)),
		checkRange("PollMin", o.PollMin, time.Millisecond, time.Minute),
		checkRange("PollMax", o.PollMax, o.PollMin, time.Hour),
		checkRange("Drain", o.Drain, time.Millisecond, 24*time.Hour),
	)
}

func checkRange[T int | time.Duration](field string, value, low, high T) error {
	if value < low || value > high {
		return fmt.Errorf("outbox: Options.%s is %v: it must be from %v to %v", field, value, low, high)
	}
	return nil
}
