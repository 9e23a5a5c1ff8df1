package config

import (
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/outbox"
)

const (
	defaultCollection = "outbox"
	// marksCollection is where the worker keeps marks.
	marksCollection  = "dedupe"
	defaultRetention = 3 * day
)

// outboxLimits are what outbox.Options takes, and outbox/mongo.
type outboxLimits struct {
	attempts                                  consumer.Limit[int]
	backoffBase, backoffMax, lease, retention consumer.Limit[time.Duration]
}

func limitsOfOutbox() outboxLimits {
	return outboxLimits{
		attempts:    consumer.Limit[int]{Min: 1, Max: 1_000_000},
		backoffBase: consumer.Limit[time.Duration]{Min: time.Millisecond, Max: day},
		backoffMax:  consumer.Limit[time.Duration]{Min: time.Millisecond, Max: 30 * day},
		lease:       consumer.Limit[time.Duration]{Min: 100 * time.Millisecond, Max: day},
		retention:   consumer.Limit[time.Duration]{Min: time.Second, Max: 3650 * day},
	}
}

func outboxKeys() []field[Outbox] {
	limits := limitsOfOutbox()
	return []field[Outbox]{
		textField("collection", "the name of a collection", func(o *Outbox) *string { return &o.Collection }, validCollection).withDefault(defaultCollection).
			describedAs("where the rows are, in the database of mongo.uri"),
		intField("attempts", func(o *Outbox) *int { return &o.Attempts }, limits.attempts).withDefault(10).
			describedAs("refusals by the bus at which a row is dead"),
		objectField("backoff", "waits after refusals, drawn evenly up to a bound that doubles", func(o *Outbox) *Backoff { return &o.Backoff },
			durationField("base", func(b *Backoff) *time.Duration { return &b.Base }, limits.backoffBase).withDefault(time.Second).
				describedAs("longest wait after the first refusal; it doubles"),
			durationField("max", func(b *Backoff) *time.Duration { return &b.Max }, limits.backoffMax).withDefault(5*time.Minute).
				withDefaultText("5m, or base if that is longer").
				describedAs("longest wait after any refusal")),
		enumField("after_dead", func(o *Outbox) *outbox.AfterDead { return &o.AfterDead },
			namedValue[outbox.AfterDead]{"block", outbox.Block}, namedValue[outbox.AfterDead]{"continue", outbox.GoOn}).
			describedAs("the rows of a key behind a dead one: they wait until it is retried or dropped, or are published"),
		durationField("lease", func(o *Outbox) *time.Duration { return &o.Lease }, limits.lease).withDefault(10 * time.Second).
			describedAs("after how long another worker takes over the rows of one that died"),
		durationField("retention", func(o *Outbox) *time.Duration { return &o.Retention }, limits.retention).withDefault(defaultRetention).
			describedAs("how long rows are kept that were sent, to be published again if the bus lost them; shorter than ttl"),
	}
}

// Options are the drainer's, for outbox.NewDrainer.
func (o *Outbox) Options() *outbox.Options {
	return &outbox.Options{
		Lease: o.Lease, MaxAttempts: o.Attempts, Backoff: outbox.Backoff{Base: o.Backoff.Base, Max: o.Backoff.Max}, AfterDead: o.AfterDead,
	}
}

// checkOutbox refuses an outbox without its database, and rows that would be published again when
// their marks are gone.
func (c *Config) checkOutbox(r *configReader) {
	if c.Outbox == nil {
		c.checkNoOutbox(r)
		return
	}
	if at := "mongo.uri"; c.Mongo.URI == "" && !r.hasMistake[at] {
		r.reportMistake("outbox", "it is kept in a MongoDB, and none is named: set mongo.uri, --mongo or MONGODB_URI")
	}
	base, most, retention := "outbox.backoff.base", "outbox.backoff.max", "outbox.retention"
	if p, ok := r.firstGiven(base, most); ok && c.Outbox.Backoff.Base > c.Outbox.Backoff.Max {
		r.reportMistake(p, "%s is %s, longer than %s %s: raise the second or lower the first", r.shownName(base),
			r.shownValue(base, formatDuration(c.Outbox.Backoff.Base)), r.shownName(most), r.shownValue(most, formatDuration(c.Outbox.Backoff.Max)))
	}
	for i := range c.Subscriptions {
		ttl := entryPath(string(SectionSubscriptions), i) + ".ttl"
		if p, ok := r.firstGiven(retention, ttl); ok && c.Outbox.Retention >= c.Subscriptions[i].TTL {
			r.reportMistake(p, "outbox.retention is %s, and %s of subscriptions[%d] %s: what is published again within the retention must still be known; lower outbox.retention or raise %s",
				r.shownValue(retention, formatDuration(c.Outbox.Retention)), r.shownName(ttl), i, r.shownValue(ttl, formatDuration(c.Subscriptions[i].TTL)), r.shownName(ttl))
		}
	}
}

// checkNoOutbox refuses handlers that publish by way of none.
func (c *Config) checkNoOutbox(r *configReader) {
	for i := range c.Subscriptions {
		at := entryPath(string(SectionSubscriptions), i) + ".handler.publish.outbox"
		if p := c.Subscriptions[i].Handler.Publish; p != nil && p.Outbox && !r.hasMistake["outbox"] {
			r.reportMistake(at, "there is no outbox: add one at the top of the file, outbox: {}")
		}
	}
}
