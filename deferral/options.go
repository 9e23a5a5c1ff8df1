package deferral

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/group"
)

// Defaults of Options.
const (
	DefaultMaxItems = 1000
	DefaultMaxBytes = 4 << 20
	DefaultAttempts = 3
)

// Options are the optional settings of Open. The zero value has the defaults.
type Options struct {
	// Key returns by what events are limited and summed up. Events for which it is empty are never
	// deferred. Default: the event's Key.
	Key func(bus.Event) string
	// Limiter makes the limiter that decides, for up to maxKeys keys. It is called again by
	// Tracker.Update, unless what it returned has a method SetRate(flow.Rate) error. Default:
	// flow.NewLocal, which limits each process by itself; flow.NewShared limits all together.
	Limiter func(r flow.Rate, maxKeys int) (flow.Limiter, error)
	// Topic is where deferred events are kept, one for each Tracker of a group: it needs a stream
	// with limits retention. What another group keeps there is left alone. Default:
	// "deferred.<group>".
	Topic string
	// MaxItems is how many events a summary has at most, 1 to 10,000, MaxBytes how many bytes of
	// data they have together, unless it is one event. What exceeds them is in the next summary of
	// the key, in the same interval. Defaults: 1,000 and 4 MiB.
	MaxItems, MaxBytes int
	// Attempts is after how many failed summaries the first event of a summary is dead-lettered:
	// the last attempt of an event is one for it alone. 2 or more. Default: 3.
	Attempts int
	// Session is this process's place in its group: of all processes with one, a single one makes
	// summaries at a time. Nil: each process makes summaries of what it is delivered, so that a key
	// may have several for one interval.
	Session *group.Session
	// Subscription has further options of the subscription to Topic: how many keys are summed up at
	// once (Concurrency), Backoff, Lease, TTL, DeadLetter and so on. What this package needs
	// (OrderKey, ID, MaxAttempts, HandledBeside, mode Claimed) is set by it. Default: those of
	// package consumer, with a Backoff of 1 s to 1 min.
	Subscription *consumer.Options
	// Observer is told what becomes of events. Default: none.
	Observer Observer
	// Logger gets the log. Default: slog.Default().
	Logger *slog.Logger
}

func (o *Options) withDefaults(groupName string) (*Options, error) {
	out := Options{}
	if o != nil {
		out = *o
	}
	if out.Key == nil {
		out.Key = func(e bus.Event) string { return e.Key }
	}
	out.Logger = cmp.Or(out.Logger, slog.Default())
	if out.Limiter == nil {
		log := out.Logger
		out.Limiter = func(r flow.Rate, maxKeys int) (flow.Limiter, error) {
			return flow.NewLocal(r, &flow.LocalOptions{MaxKeys: maxKeys, Logger: log})
		}
	}
	out.Topic = cmp.Or(out.Topic, "deferred."+groupName)
	out.MaxItems, out.MaxBytes = cmp.Or(out.MaxItems, DefaultMaxItems), cmp.Or(out.MaxBytes, DefaultMaxBytes)
	out.Attempts = cmp.Or(out.Attempts, DefaultAttempts)
	return &out, out.validate()
}

func (o *Options) validate() error {
	if err := bus.ValidTopic(o.Topic); err != nil {
		return fmt.Errorf("%w: Options.Topic: %w", ErrConfig, err)
	}
	switch {
	case o.MaxItems < 1 || o.MaxItems > 10_000:
		return fmt.Errorf("%w: Options.MaxItems is %d: it must be from 1 to 10000", ErrConfig, o.MaxItems)
	case o.MaxBytes < 1:
		return fmt.Errorf("%w: Options.MaxBytes is %d: it must be 1 or more", ErrConfig, o.MaxBytes)
	case o.Attempts < 2 || o.Attempts > 1_000_000:
		return fmt.Errorf("%w: Options.Attempts is %d: it must be from 2 to 1000000, for the last attempt of an event is one for it alone", ErrConfig, o.Attempts)
	}
	return nil
}

// subscription returns the options of the subscription to Topic, defaults included.
func (t *Tracker) subscription() (*consumer.Options, error) {
	o := consumer.Options{}
	if t.options.Subscription != nil {
		o = *t.options.Subscription
	}
	if o.Mode != consumer.Claimed {
		return nil, fmt.Errorf("%w: Options.Subscription.Mode: summaries are made in mode Claimed: leave it out", ErrConfig)
	}
	if o.From != (bus.Start{}) {
		return nil, fmt.Errorf("%w: Options.Subscription.From: what was deferred before this process began has its summary too: leave it out", ErrConfig)
	}
	o.MaxAttempts = t.options.Attempts
	o.Backoff.Base = cmp.Or(o.Backoff.Base, time.Second)
	o.Backoff.Max = cmp.Or(o.Backoff.Max, max(time.Minute, o.Backoff.Base))
	o.ID = func(e bus.Event) string { return storedID(e, t.group) }
	o.IDSource = "the headers of deferred events"
	o.OrderKey = func(e bus.Event) string {
		d, _ := decodeEvent(e, t.group) // what is none is dead-lettered
		return d.key
	}
	o.HandledBeside = t.summed.has
	o.Logger = cmp.Or(o.Logger, t.options.Logger)
	o.Observer = consumer.Observers(o.Observer, settledObserver{t})
	return o.WithDefaults(t.group)
}
