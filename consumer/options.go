package consumer

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/flow"
)

// Mode is how much the store does to keep two copies from running at once.
type Mode uint8

const (
	// Claimed leases the right to run each event, fenced. It needs a store with
	// dedupe.Claimer. The default.
	Claimed Mode = iota
	// SeenMark asks whether an event is done, runs it, and marks it. Two concurrent copies may both
	// run, arrivals stand for attempts, crash loops are not recognised, and dead letters may
	// repeat. Any dedupe.Store will do.
	SeenMark
	// Transactional runs the handler in the transaction that marks the event: what it writes with
	// its context's session and the mark are there together, or not at all. It needs a store with
	// dedupe.Transactor, and a server that has transactions.
	Transactional
)

// Options of SubscribeExactlyOnce. The zero value means the defaults.
type Options struct {
	// Mode; Claimed.
	Mode Mode
	// Concurrency is how many handlers run at once in this process; 16.
	Concurrency int
	// MaxUnmarked is how many events of this process may have started and not be marked, running
	// and finished together: a crash repeats at most that many effects. Default, and least:
	// Concurrency. More is faster where the store is slow and effects are cheap to repeat.
	MaxUnmarked int
	// MaxAttempts is the number of failures at which an event is dead-lettered; 10.
	MaxAttempts int
	// MaxCrashes is the number of crashes at which an event is dead-lettered: claims that ended by
	// their lease alone; 5.
	MaxCrashes int
	// Backoff after a failure; 1 s doubling to 5 min, full jitter.
	Backoff Backoff
	// RunLimit of one attempt; 15 min. In mode Transactional 30 s, at most 55 s: the server ends
	// what takes longer.
	RunLimit time.Duration
	// Lease of a claim, renewed at a third of it; 30 s. A crashed process's events wait for it to
	// end. At least 100 ms. In mode Transactional it cannot be renewed while the handler runs.
	// There a run begins by renewing it once, for RunLimit and the time for a commit together (a
	// third of RunLimit, from 1 s to 10 s): a crashed process's events, and whoever writes the same
	// documents, wait for that long, so keep RunLimit short.
	Lease time.Duration
	// AckWait is the bus's deadline for a delivery, renewed at a third of it; 30 s. At
	// least 100 ms.
	AckWait time.Duration
	// TTL is how long marks are kept after they were written; 7 days. Longer than any
	// redelivery takes.
	TTL time.Duration
	// GiveUp is how old an event may get whose runs end as Throttled or Unavailable, counted from
	// its first claim, before it is dead-lettered; 3 days. Half of TTL is the most.
	GiveUp time.Duration
	// Drain is how long running handlers may take to finish when the subscription ends; 25 s. Then
	// they are cancelled. Whatever hangs, the subscription has ended after Drain and another 4 s,
	// or after twice Drain if that is less.
	Drain time.Duration
	// From is where a group that is new starts; at the earliest event.
	From bus.Start
	// FromStream lets From decide also where a group goes on that is known on the topic, in a
	// stream of which nothing proves that it has the events that the group has handled
	// (ErrStreamReplaced, which names the value). It counts for that incarnation of the stream
	// alone. Default: none.
	FromStream string
	// DeadLetter is the topic for events that are given up; "dead.<group>". It needs a stream.
	DeadLetter string
	// ID computes an event's identity, such as a business key in its data; bus.Event.Identity. An
	// event for which it returns "" or panics is dead-lettered.
	ID func(bus.Event) string
	// IDSource is what ID reads, such as "the member order.id of the payload". It is in the reason
	// of the dead letters of events for which ID returns "". Default: none.
	IDSource string
	// OrderKey is what orders events: those with one key run one after the other; the event's Key.
	// "" is no order. An event for which it panics is dead-lettered.
	OrderKey func(bus.Event) string
	// Fingerprint of a payload, of any size: an id that comes with two of them is dead-lettered the
	// second time; Bytes. Others are CanonicalJSON and NoFingerprint.
	Fingerprint func(bus.Event) []byte
	// FingerprintName is kept with each fingerprint: those under different names are not compared.
	// Bytes and CanonicalJSON have names of their own; a function of yours is "user". Give it
	// another name when what it computes changes ("order-v2"), and events that are in flight are
	// not taken for others.
	FingerprintName string
	// Use wraps the handler, the first outermost, inside of run limit and recover.
	Use []Middleware
	// Gate is asked last before a handler starts; open. What it makes wait for longer than a lease
	// is given back.
	Gate flow.Gate
	// Limit spreads starts over time; unlimited. Duplicates do not count. What waits for longer
	// than a lease is given back.
	Limit flow.Limiter
	// LimitKey is what Limit is asked for; the event's topic.
	LimitKey func(bus.Event) string
	// Logger; slog.Default().
	Logger *slog.Logger
	// Observer; none.
	Observer Observer
	// Unsafe starts although the TTL check refuses.
	Unsafe bool
}

// Backoff grows from Base, doubling with every failure, up to Max; what is waited is drawn evenly
// between nothing and that.
type Backoff struct{ Base, Max time.Duration }

// WithDefaults returns a copy of o with every default filled in for the group, and what is wrong
// with it: what SubscribeExactlyOnce starts from. o may be nil, and is not changed.
func (o *Options) WithDefaults(group string) (*Options, error) {
	out := Options{}
	if o != nil {
		out = *o
	}
	fill(&out.Concurrency, 16)
	fill(&out.MaxUnmarked, out.Concurrency)
	fill(&out.MaxAttempts, 10)
	fill(&out.MaxCrashes, 5)
	fill(&out.Backoff.Base, time.Second)
	fill(&out.Backoff.Max, max(5*time.Minute, out.Backoff.Base))
	if out.Mode == Transactional {
		fill(&out.RunLimit, 30*time.Second)
	}
	fill(&out.RunLimit, 15*time.Minute)
	fill(&out.Lease, 30*time.Second)
	fill(&out.AckWait, bus.DefaultAckWait)
	fill(&out.TTL, 7*24*time.Hour)
	fill(&out.GiveUp, 3*24*time.Hour)
	fill(&out.Drain, 25*time.Second)
	fill(&out.DeadLetter, "dead."+group)
	if out.ID == nil {
		out.ID = func(e bus.Event) string { return e.Identity() }
	}
	if out.OrderKey == nil {
		out.OrderKey = func(e bus.Event) string { return e.Key }
	}
	if out.Fingerprint == nil {
		out.Fingerprint = Bytes
	}
	fill(&out.FingerprintName, fingerprintName(out.Fingerprint))
	if out.LimitKey == nil {
		out.LimitKey = func(e bus.Event) string { return e.Topic }
	}
	if out.Logger == nil {
		out.Logger = slog.Default()
	}
	return &out, out.validate()
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
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
	)
	err = errors.Join(err, o.checkTransactional(), o.checkFingerprint())
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
