package config

import (
	"strings"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/outbox"
)

// Collections of a worker, if nothing else is said.
const (
	OutboxCollection = "outbox"
	MarksCollection  = "dedupe"
)

const defaultRetention = 3 * day

// HoldsMarks reports whether a collection has the marks of a worker, in some namespace.
func HoldsMarks(collection string) bool {
	return collection == MarksCollection || strings.HasPrefix(collection, MarksCollection+".")
}

// outboxKeys have the bounds of outbox.Options, and of outbox/mongo.
func outboxKeys() []field[Outbox] {
	type between = consumer.Limit[time.Duration]
	return []field[Outbox]{
		textField("collection", "the name of a collection", func(o *Outbox) *string { return &o.Collection }, validCollection).withDefault(OutboxCollection).
			describedAs("where the rows are, in the database of mongo.uri"),
		intField("attempts", func(o *Outbox) *int { return &o.Attempts }, consumer.Limit[int]{Min: 1, Max: 1_000_000}).withDefault(10).
			describedAs("refusals by the bus at which a row is dead"),
		objectField("backoff", "waits after refusals, drawn evenly up to a bound that doubles", func(o *Outbox) *Backoff { return &o.Backoff },
			durationField("base", func(b *Backoff) *time.Duration { return &b.Base }, between{Min: time.Millisecond, Max: day}).withDefault(time.Second).
				describedAs("longest wait after the first refusal; it doubles"),
			durationField("max", func(b *Backoff) *time.Duration { return &b.Max }, between{Min: time.Millisecond, Max: 30 * day}).withDefault(5*time.Minute).
				withDefaultText("5m, or base if that is longer").
				describedAs("longest wait after any refusal")),
		enumField("after_dead", func(o *Outbox) *outbox.AfterDead { return &o.AfterDead },
			namedValue[outbox.AfterDead]{"block", outbox.Block}, namedValue[outbox.AfterDead]{"continue", outbox.GoOn}).
			describedAs("the rows of a key behind a dead one: they wait until it is retried or dropped, or are published"),
		durationField("lease", func(o *Outbox) *time.Duration { return &o.Lease }, between{Min: 100 * time.Millisecond, Max: day}).withDefault(10 * time.Second).
			describedAs("after how long another worker takes over the rows of one that died"),
		durationField("retention", func(o *Outbox) *time.Duration { return &o.Retention }, between{Min: time.Second, Max: 3650 * day}).withDefault(defaultRetention).
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
	if c.Mongo.URI == "" && !r.hasMistake["mongo.uri"] {
		r.reportMistake("outbox", "it is kept in a MongoDB, and none is named: set mongo.uri, --mongo or MONGODB_URI")
	}
	c.Outbox.Backoff.checkOrder(r, "outbox.backoff")
	retention := "outbox.retention"
	for i := range c.Subscriptions {
		ttl := entryPath(string(SectionSubscriptions), i) + ".ttl"
		if p, ok := r.firstGiven(retention, ttl); ok && c.Outbox.Retention >= c.Subscriptions[i].TTL {
			r.reportMistake(p, "outbox.retention is %s, and %s of subscriptions[%d] %s: what is published again within the retention must still be known; lower outbox.retention or raise %s",
				r.shownDuration(retention, c.Outbox.Retention), r.shownName(ttl), i, r.shownDuration(ttl, c.Subscriptions[i].TTL), r.shownName(ttl))
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
