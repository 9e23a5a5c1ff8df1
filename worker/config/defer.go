package config

import (
	"cmp"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
)

// Defer sums up the events of a key beyond a limit.
type Defer struct {
	// Rate is how many events run at once in which time. Of its fields Limit, Per, Strategy, By,
	// Shared, OnOutage and MaxKeys count.
	Rate
	// Interval is how long a deferred event waits at most for its summary.
	Interval time.Duration
	// Overflow is what becomes of events whose keys exceed MaxKeys.
	Overflow deferral.Overflow
	// MaxItems is how many events a summary has at most, Attempts at how many failures the first of
	// them is dead-lettered.
	MaxItems, Attempts int
	// Topic keeps the deferred events. Empty: deferred.GROUP.
	Topic string
	// Handler handles summaries, each as one event. Nil: that of the subscription handles the
	// deferred events one by one.
	Handler *Handler
}

// deferKeys have the bounds of package deferral.
func deferKeys(limits consumer.Limits) []field[Defer] {
	type (
		d       = Defer
		between = consumer.Limit[int]
	)
	strategies := make([]namedValue[flow.Strategy], 0, 4)
	for s := flow.TokenBucket; s <= flow.SlidingLog; s++ {
		strategies = append(strategies, namedValue[flow.Strategy]{s.String(), s})
	}
	by := patternField("by", "topic, key, type or header:NAME", func(d *d) *string { return &d.By }, limitKeyForm).withDefault(byKey).
		describedAs("what has a limit and summaries of its own: each key, topic, type, or value of a header (header:NAME); events without one are never deferred")
	by.kind = "`topic`, `key`, `type` or `header:NAME`"
	return []field[Defer]{
		startsField("limit", func(d *d) *Starts { return &d.Limit }).markRequired().
			describedAs("how many events of a key run at once, such as 5/m, or 5 with per"),
		durationField("per", func(d *d) *time.Duration { return &d.Per }, consumer.Limit[time.Duration]{Min: time.Millisecond, Max: maxRatePer}).withDefault(time.Minute).
			describedAs("the time of a limit that is a number alone"),
		enumField("strategy", func(d *d) *flow.Strategy { return &d.Strategy }, strategies...).withDefault(flow.FixedWindow).
			describedAs("how events are counted, as with rate"),
		by,
		boolField("shared", func(d *d) *bool { return &d.Shared }).describedAs("one limit over all processes of the group"),
		enumField("on_outage", func(d *d) *flow.OnOutage { return &d.OnOutage }, namedValue[flow.OnOutage]{"open", flow.FailOpen}, namedValue[flow.OnOutage]{"closed", flow.FailClosed}).
			describedAs("while the store of a shared limit cannot be used: each process lets its share run (open), or all is deferred (closed)"),
		durationField("interval", func(d *d) *time.Duration { return &d.Interval }, consumer.Limit[time.Duration]{Min: 100 * time.Millisecond, Max: 30 * day}).withDefault(deferral.DefaultInterval).
			describedAs("how long a deferred event waits at most until its summary is due; at most a quarter of ttl"),
		intField("max_keys", func(d *d) *int { return &d.MaxKeys }, between{Min: 1, Max: maxLimitKeys}).withDefault(deferral.DefaultMaxKeys).
			describedAs("how many keys may have deferred events at once"),
		enumField("overflow", func(d *d) *deferral.Overflow { return &d.Overflow }, namedValue[deferral.Overflow]{deferral.Run.String(), deferral.Run}, namedValue[deferral.Overflow]{deferral.DeadLetter.String(), deferral.DeadLetter}).
			describedAs("what becomes of events of further keys: they run at once (run), or are dead-lettered"),
		intField("max_items", func(d *d) *int { return &d.MaxItems }, between{Min: 1, Max: 10_000}).withDefault(deferral.DefaultMaxItems).
			describedAs("how many events a summary has at most"),
		intField("attempts", func(d *d) *int { return &d.Attempts }, between{Min: 2, Max: limits.MaxAttempts.Max}).withDefault(deferral.DefaultAttempts).
			describedAs("failed summaries at which the first of their events is dead-lettered; the last one is for that event alone"),
		topicField("topic", func(d *d) *string { return &d.Topic }).withDefaultText("deferred.GROUP").
			describedAs("topic for deferred events, which no other subscription uses; it needs a stream with limits retention"),
		optionalField("handler", "who handles a summary: an event whose data is a JSON array of the deferred CloudEvents; without it, the subscription's handler handles them one by one", func(d *d) **Handler { return &d.Handler }, withoutFlags(handlerKeys())...),
	}
}

// withoutFlags are keys that are given in a file alone.
func withoutFlags[S any](keys []field[S]) []field[S] {
	var strip func(infos []*fieldInfo)
	strip = func(infos []*fieldInfo) {
		for _, info := range infos {
			info.flag, info.env = "", ""
			strip(info.children)
		}
	}
	strip(fieldSet[S](keys).fieldInfos())
	return keys
}

// Config returns what a deferral.Tracker is told.
func (d *Defer) Config() deferral.Config {
	rate := flow.Rate{Limit: d.Limit.Count, Per: cmp.Or(d.Limit.Per, d.Per, time.Minute), Strategy: d.Strategy}
	return deferral.Config{Rate: rate, Interval: d.Interval, MaxKeys: d.MaxKeys, Overflow: d.Overflow}
}

// KeyFunc returns what has a limit and summaries of its own.
func (d *Defer) KeyFunc() func(bus.Event) string {
	if key := d.limitKeyFunc(); key != nil {
		return key
	}
	return func(e bus.Event) string { return e.Topic }
}

// checkDefer refuses what would lose deferred events, or run them in another place.
func (c *Config) checkDefer(r *configReader, i int) {
	s, at := &c.Subscriptions[i], entryPath(string(SectionSubscriptions), i)
	d, path := s.Defer, at+".defer"
	if d == nil {
		return
	}
	if s.Mode != consumer.Claimed && !r.hasMistake[at+".mode"] {
		r.reportMistake(path, "it needs mode claimed, in which a decision is kept with the claim: remove it, or mode")
	}
	interval, ttl := path+".interval", at+".ttl"
	if p, ok := r.firstGiven(interval, ttl, path); ok && d.Interval > s.TTL/4 {
		r.reportMistake(p, "%s is %s: it must be at most a quarter of %s, %s", r.shownName(interval), r.shownDuration(interval, d.Interval), r.shownName(ttl), r.shownDuration(ttl, s.TTL))
	}
	per := path + ".per"
	if d.Limit.Per > 0 && r.isGivenValid(per) {
		r.reportMistake(per, "the limit has a unit already: write it without one, or remove per")
	}
	c.checkDeferTopic(r, i, path+".topic")
	d.checkHandler(r, path+".handler")
}

// checkDeferTopic refuses a topic that is used for something else.
func (c *Config) checkDeferTopic(r *configReader, i int, path string) {
	s := &c.Subscriptions[i]
	at := path
	if !r.isGiven(path) {
		at = parentPath(path)
	}
	for j := range c.Subscriptions {
		other := &c.Subscriptions[j]
		switch {
		case bus.ValidPattern(other.Topic) == nil && bus.Match(other.Topic, s.Defer.Topic):
			r.reportMistake(at, "subscriptions[%d] receives the deferred events themselves, on %s: set defer.topic to a topic outside of it", j, quoteShort(s.Defer.Topic))
		case j < i && other.Defer != nil && other.Defer.Topic == s.Defer.Topic:
			r.reportMistake(at, "subscriptions[%d] keeps its deferred events on %s too, and has another handler: set defer.topic of one of them", j, quoteShort(s.Defer.Topic))
		}
	}
}

func (d *Defer) checkHandler(r *configReader, path string) {
	switch {
	case d.Handler == nil || r.hasMistake[path]:
	case len(d.Handler.givenKeys()) != 1:
		r.reportMistake(path, "there are %d handlers: keep one of %s", len(d.Handler.givenKeys()), orList(fieldNames(fieldAt(path).children)))
	case d.Handler.HTTP != nil && d.Handler.HTTP.PerHost != nil:
		r.reportMistake(path+".http.per_host", "it has no effect on summaries: remove it")
	}
}
