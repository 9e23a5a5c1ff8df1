package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/group"
)

// Mode selects how much the store does to keep two copies from running at once.
type Mode uint8

const (
	// Claimed leases the right to run each event, with a fencing token. It needs a store with
	// dedupe.Claimer.
	Claimed Mode = iota
	// SeenMark looks up whether an event is done, runs it, and marks it. Two concurrent copies may
	// both run, arrivals stand for attempts, crash loops are not recognised, and dead letters may
	// repeat. It works with any dedupe.Store.
	SeenMark
	// Transactional runs the handler in the transaction that marks the event: what it writes with
	// its context's session and the mark are there together, or not at all. It needs a store with
	// dedupe.Transactor, and a server that has transactions.
	Transactional
)

// Options configures SubscribeExactlyOnce. The zero value means the defaults.
type Options struct {
	// Mode selects how duplicates are prevented. Default: Claimed.
	Mode Mode
	// Concurrency is how many handlers run at once in this process. Default: 16.
	Concurrency int
	// MaxUnmarked is how many events of this process may have started and not be marked, running
	// and finished together: a crash repeats at most that many effects. More is faster where the
	// store is slow and effects are cheap to repeat. Default, and minimum: Concurrency.
	MaxUnmarked int
	// MaxAttempts is the number of failed runs after which an event is dead-lettered. Default: 10.
	MaxAttempts int
	// MaxCrashes is the number of crashes after which an event is dead-lettered. A crash is a claim
	// that ended by its lease alone. Default: 5.
	MaxCrashes int
	// Backoff is how long a retry waits. Default: 1 s doubling to 5 min, with full jitter.
	Backoff Backoff
	// RunLimit is how long one attempt may take. Default: 15 min; in mode Transactional 30 s, and
	// at most 55 s, for the server ends what takes longer.
	RunLimit time.Duration
	// Lease is how long a claim is valid unless it is renewed, at a third of it. A crashed
	// process's events wait for its end. Default: 30 s; at least 100 ms.
	//
	// In mode Transactional a claim cannot be renewed while the handler runs. There a run begins by
	// renewing it once, for RunLimit and the time for a commit together (a third of RunLimit, from
	// 1 s to 10 s). A crashed process's events, and whoever writes the same documents, wait for
	// that long, so keep RunLimit short.
	Lease time.Duration
	// AckWait is how long the bus waits for an answer to a delivery, renewed at a third of it,
	// before it redelivers. Default: 30 s; at least 100 ms.
	AckWait time.Duration
	// TTL is how long marks are kept after they were written. It must be longer than any redelivery
	// takes. Default: 7 days.
	TTL time.Duration
	// GiveUp is the age, counted from its first claim, at which an event is dead-lettered whose
	// runs end as Throttled or Unavailable. Default: 3 days; at most half of TTL takes effect.
	GiveUp time.Duration
	// Drain is how long running handlers may take to finish when the subscription ends. Then they
	// are cancelled. Whatever hangs, the subscription has ended after Drain and another 4 s, or
	// after twice Drain if that is less. Default: 25 s.
	Drain time.Duration
	// From is where a new group starts. Default: at the earliest event.
	From bus.Start
	// FromStream lets From also decide where a known group goes on, in a stream of which nothing
	// proves that it has the events that the group has handled (ErrStreamReplaced, which names the
	// value). It counts for that incarnation of the stream alone. Default: none.
	FromStream string
	// DeadLetter is the topic for dead letters. It needs a stream. Default: "dead.<group>".
	DeadLetter string
	// ID computes an event's identity, such as a business key in its data. An event for which it
	// returns "" or panics is dead-lettered. Default: bus.Event.Identity.
	ID func(bus.Event) string
	// IDSource is what ID reads, such as "the member order.id of the payload", for the reason of
	// the dead letters of events for which ID returns "". Default: none.
	IDSource string
	// Order is which events wait for which. Default: ByKey.
	Order Order
	// OrderKey returns an event's order key: events with one key run one after the other, with the
	// orders ByKey and Exclusive. "" is no order. An event for which it panics is dead-lettered.
	// The other orders refuse it. Default: the event's Key, with those that take it.
	OrderKey func(bus.Event) string
	// Session is this process's place in its group, which the orders Exclusive and Partitions need.
	// It must have joined the group of the subscription, and run at least as long as that. With the
	// other orders it is how a subscription learns that the group has partitions of the topic, with
	// events that are not settled (ErrLayout). Default: none.
	Session *group.Session
	// Assigned is called when this process has got a partition (with the order Exclusive: the
	// topic), before the first of its events is fetched. If it returns an error, panics, or takes
	// longer than HookLimit, the partition is given back, and tried again later, in this process or
	// another. ctx ends with HookLimit, and when the partition is to be handed over meanwhile.
	// Hooks of several partitions are called at once, of one partition one after the other.
	// Default: none.
	Assigned func(ctx context.Context, p Partition) error
	// Revoked is called before the partition is handed over, after the last of its events was
	// settled, and where Assigned has succeeded. Its error is logged. Default: none.
	Revoked func(ctx context.Context, p Partition) error
	// Lost is called in place of Revoked if the partition may be another process's already: this
	// process could not renew its place in the group in time. It must not write what the next owner
	// may have written. Its error is logged. Default: none.
	Lost func(ctx context.Context, p Partition) error
	// HookLimit is how long Assigned, Revoked and Lost may take each. One that does not return a
	// second after that is left behind. While the subscription drains, they may take no longer than
	// Drain, for which the drain waits beside its handlers. Default: 1 min.
	HookLimit time.Duration
	// Fingerprint computes what tells two payloads under one id apart, of any size. An id that
	// comes with two fingerprints is dead-lettered the second time. Others are CanonicalJSON and
	// NoFingerprint. Default: Bytes.
	Fingerprint func(bus.Event) []byte
	// FingerprintName is kept with each fingerprint; those under different names are not compared.
	// Change it when what your function computes changes ("order-v2"), so that events in flight are
	// not taken for others. Bytes and CanonicalJSON have names of their own. Default: "user".
	FingerprintName string
	// Use wraps the handler, the first outermost, inside of run limit and recover. Default: none.
	Use []Middleware
	// Gates are entered before a handler starts, one after the other, and left when it has
	// returned. What they hold back for longer than a lease is given back, and counts no attempt.
	// One that is a flow.AdaptiveGate also bounds how many events are claimed and run, and while it
	// is shut nothing is fetched. Default: none.
	Gates []flow.Gate
	// Limit spreads starts over time. It is asked last, behind Gates, and not for duplicates. What
	// waits for longer than a lease is given back, and counts no attempt. While it fails, nothing
	// starts. One that is a flow.KeyCloser is closed for as long as a handler's Throttled says.
	// Default: unlimited.
	Limit flow.Limiter
	// LimitKey returns the key that Limit is asked for. Default: the event's topic.
	LimitKey func(bus.Event) string
	// LimitQueue is how many events of this process may wait for Limit in their slots at once. More
	// are given back, and redelivered when it is their turn. Default: Concurrency, for nothing else
	// could start; half of it where LimitKey is set or the topic is a pattern, so that other keys
	// can.
	LimitQueue int
	// LimitWait is how long an event may wait for Limit in its slot. One that would wait for longer
	// is given back. Default: as long as its claim lasts.
	LimitWait time.Duration
	// HandledBeside reports whether the run of another event of this process has also handled the
	// one at a position, and has settled it in the store by itself, as a summary of several events
	// does. When that one's turn comes it counts as handled, not as a duplicate. HandledBeside is
	// called by several goroutines at once, must not block, and must not call the Subscription.
	// Default: no run has.
	HandledBeside func(at bus.Position) bool
	// Process names this process in the history of an event. Default: its host name and process id,
	// "HOST:PID".
	Process string
	// Logger gets the log. Default: slog.Default().
	Logger *slog.Logger
	// Observer is told how each delivery ended, and what else its optional interfaces say. Default:
	// none.
	Observer Observer
	// Unsafe disables the TTL safety check (ErrUnsafeTTL). Default: false.
	Unsafe bool
}

// Backoff is how long a retry waits. It grows from Base, doubling with every failure, up to Max.
// The wait is drawn evenly between nothing and that.
type Backoff = protocol.Backoff

// WithDefaults returns a copy of o in which every default for the group is filled in, and an error
// if it is not valid. SubscribeExactlyOnce starts from that copy. o may be nil, and is not changed.
func (o *Options) WithDefaults(group string) (*Options, error) {
	out := Options{}
	if o != nil {
		out = *o
	}
	out.Concurrency = cmp.Or(out.Concurrency, 16)
	out.MaxUnmarked = cmp.Or(out.MaxUnmarked, out.Concurrency)
	out.MaxAttempts = cmp.Or(out.MaxAttempts, 10)
	out.MaxCrashes = cmp.Or(out.MaxCrashes, 5)
	out.Backoff.Base = cmp.Or(out.Backoff.Base, time.Second)
	out.Backoff.Max = cmp.Or(out.Backoff.Max, max(5*time.Minute, out.Backoff.Base))
	if out.Mode == Transactional {
		out.RunLimit = cmp.Or(out.RunLimit, 30*time.Second)
	}
	out.RunLimit = cmp.Or(out.RunLimit, 15*time.Minute)
	out.Lease = cmp.Or(out.Lease, 30*time.Second)
	out.AckWait = cmp.Or(out.AckWait, bus.DefaultAckWait)
	out.TTL = cmp.Or(out.TTL, 7*24*time.Hour)
	out.GiveUp = cmp.Or(out.GiveUp, 3*24*time.Hour)
	out.Drain = cmp.Or(out.Drain, 25*time.Second)
	out.HookLimit = cmp.Or(out.HookLimit, time.Minute)
	out.DeadLetter = cmp.Or(out.DeadLetter, "dead."+group)
	if out.ID == nil {
		out.ID = func(e bus.Event) string { return e.Identity() }
	}
	orderErr := out.Order.validate(&out)
	if out.Order.takesOrderKey() && out.OrderKey == nil {
		out.OrderKey = func(e bus.Event) string { return e.Key }
	}
	if out.Fingerprint == nil {
		out.Fingerprint = Bytes
	}
	if out.Process == "" {
		host, _ := os.Hostname() // it is there to be read by people
		out.Process = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	out.FingerprintName = cmp.Or(out.FingerprintName, fingerprintName(out.Fingerprint))
	out.Logger = cmp.Or(out.Logger, slog.Default())
	return &out, errors.Join(out.validate(), orderErr)
}

func (o *Options) validate() error {
	l := OptionLimits()
	l.BackoffMax.Min, l.MaxUnmarked.Min = o.Backoff.Base, o.Concurrency
	err := errors.Join(
		Limit[int]{int(Claimed), int(Transactional)}.checkField("Mode", int(o.Mode)),
		l.Concurrency.checkField("Concurrency", o.Concurrency),
		l.MaxUnmarked.checkField("MaxUnmarked", o.MaxUnmarked),
		l.MaxAttempts.checkField("MaxAttempts", o.MaxAttempts),
		l.MaxCrashes.checkField("MaxCrashes", o.MaxCrashes),
		l.BackoffBase.checkField("Backoff.Base", o.Backoff.Base),
		l.BackoffMax.checkField("Backoff.Max", o.Backoff.Max),
		l.RunLimit.checkField("RunLimit", o.RunLimit),
		l.Lease.checkField("Lease", o.Lease),
		l.AckWait.checkField("AckWait", o.AckWait),
		l.TTL.checkField("TTL", o.TTL),
		l.GiveUp.checkField("GiveUp", o.GiveUp),
		l.Drain.checkField("Drain", o.Drain),
		l.LimitQueue.checkField("LimitQueue", o.LimitQueue),
		l.LimitWait.checkField("LimitWait", o.LimitWait),
		l.HookLimit.checkField("HookLimit", o.HookLimit),
	)
	err = errors.Join(err, o.checkTTL(), o.checkTransactional(), o.checkFingerprint())
	if o.From.Latest && !o.From.Time.IsZero() {
		err = errors.Join(err, errors.New("Options.From has both Latest and Time: set one of them"))
	}
	if o.TTL <= o.Lease {
		err = errors.Join(err, fmt.Errorf("Options.TTL is %v: it must be longer than Options.Lease, %v", o.TTL, o.Lease))
	}
	if topicErr := bus.ValidTopic(o.DeadLetter); topicErr != nil {
		err = errors.Join(err, fmt.Errorf("Options.DeadLetter: %w", topicErr))
	}
	return err
}

// Limit is the range of a field, both ends included.
type Limit[T int | time.Duration] struct{ Min, Max T }

// Limits are the ranges of the fields of Options, for programs that let people set them.
type Limits struct {
	Concurrency, MaxUnmarked, MaxAttempts, MaxCrashes, LimitQueue                    Limit[int]
	BackoffBase, BackoffMax, RunLimit, Lease, AckWait, TTL, GiveUp, Drain, LimitWait Limit[time.Duration]
	HookLimit                                                                        Limit[time.Duration]
}

// OptionLimits returns the ranges that Options.WithDefaults checks. Backoff.Max is also at least
// Backoff.Base, MaxUnmarked at least Concurrency, and TTL longer than Lease; mode Transactional has
// bounds of its own for RunLimit and TTL.
func OptionLimits() Limits {
	const day = 24 * time.Hour
	return Limits{
		Concurrency: Limit[int]{1, 100_000},
		MaxUnmarked: Limit[int]{1, 1_000_000},
		MaxAttempts: Limit[int]{1, 1_000_000},
		MaxCrashes:  Limit[int]{1, 1_000_000},
		BackoffBase: Limit[time.Duration]{time.Millisecond, day},
		BackoffMax:  Limit[time.Duration]{time.Millisecond, 30 * day},
		RunLimit:    Limit[time.Duration]{time.Millisecond, 30 * day},
		Lease:       Limit[time.Duration]{100 * time.Millisecond, day},
		AckWait:     Limit[time.Duration]{100 * time.Millisecond, day},
		TTL:         Limit[time.Duration]{time.Second, 10 * 365 * day},
		GiveUp:      Limit[time.Duration]{time.Second, 10 * 365 * day},
		Drain:       Limit[time.Duration]{time.Millisecond, day},
		LimitQueue:  Limit[int]{0, 100_000},
		LimitWait:   Limit[time.Duration]{0, day},
		HookLimit:   Limit[time.Duration]{time.Millisecond, day},
	}
}

func (l Limit[T]) checkField(field string, value T) error { return l.check("Options."+field, value) }

func (l Limit[T]) check(name string, value T) error {
	if value < l.Min || value > l.Max {
		return fmt.Errorf("%s is %v: it must be from %v to %v", name, value, l.Min, l.Max)
	}
	return nil
}

// Horizon is how long after it was marked an event may be redelivered: AckWait + Backoff.Max +
// RunLimit, as they are in o. A TTL below it is refused with ErrUnsafeTTL.
func (o *Options) Horizon() time.Duration { return o.AckWait + o.Backoff.Max + o.RunLimit }

// checkTTL refuses marks that could expire while their event may still be redelivered, unless
// that is wanted.
func (o *Options) checkTTL() error {
	if horizon := o.Horizon(); o.TTL < horizon && !o.Unsafe {
		return fmt.Errorf("%w: Options.TTL is %v, but an event may be redelivered up to %v later (Options.AckWait %v + Options.Backoff.Max %v + Options.RunLimit %v): "+
			"raise Options.TTL, lower the others, or set Options.Unsafe", ErrUnsafeTTL, o.TTL, horizon, o.AckWait, o.Backoff.Max, o.RunLimit)
	}
	return nil
}

// maxRetryTime is how long it may take to dead-letter an event: each attempt but the last waits for
// its backoff.
func (o *Options) maxRetryTime() time.Duration {
	total, wait := time.Duration(0), o.Backoff.Base
	for range o.MaxAttempts - 1 {
		total += min(wait, o.Backoff.Max)
		if total > 365*24*time.Hour {
			break // longer than anybody keeps a stream for its retries
		}
		wait = min(2*wait, o.Backoff.Max)
	}
	return total + o.RunLimit
}

// warnOfStreamLimits warns of limits by which the stream drops events whether they were
// handled or not.
func (o *Options) warnOfStreamLimits(topic string, info bus.TopicInfo) {
	var attrs []any
	for _, l := range []struct {
		name  string
		value int64
	}{{"max_events", info.Limits.Events}, {"max_bytes", info.Limits.Bytes}, {"max_events_per_topic", info.Limits.EventsPerTopic}} {
		if l.value > 0 {
			attrs = append(attrs, l.name, l.value)
		}
	}
	if info.Limits.EventTTL {
		attrs = append(attrs, "event_ttl", true)
	}
	if retries := o.maxRetryTime(); info.MaxAge > 0 && info.MaxAge < retries {
		attrs = append(attrs, "max_age", info.MaxAge, "retries_take_up_to", retries)
	}
	if len(attrs) > 0 {
		o.Logger.Warn("the stream has limits by which it drops events that are not handled yet; raise them, or have it refuse new events",
			append([]any{"topic", topic, "stream", info.Start.Stream}, attrs...)...)
	}
}

// warnOfUncoveredAge warns of a stream that keeps events for longer than marks are kept, in a store
// without watermarks.
func (o *Options) warnOfUncoveredAge(info bus.TopicInfo) {
	if info.MaxAge == 0 || info.MaxAge > o.TTL {
		o.Logger.Warn("the stream keeps events for longer than marks are kept, and the store keeps no watermark: "+
			"if the group's consumer is lost, events older than the TTL run again", "max_age", info.MaxAge, "ttl", o.TTL)
	}
}
