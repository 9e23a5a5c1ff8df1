package config

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// deriveDefaults fills in defaults that depend on other keys.
func (c *Config) deriveDefaults(r *configReader) {
	if c.Outbox != nil && !r.isGiven("outbox.backoff.max") {
		c.Outbox.Backoff.Max = max(c.Outbox.Backoff.Max, c.Outbox.Backoff.Base)
	}
	for i := range c.Subscriptions {
		s, at := &c.Subscriptions[i], entryPath(string(SectionSubscriptions), i)
		derived, _ := (&consumer.Options{ // what is wrong with them was reported
			Mode: s.Mode, Concurrency: s.Concurrency.Max, Backoff: consumer.Backoff{Base: s.Backoff.Base},
		}).WithDefaults(c.Group)
		if !r.isGiven(at + ".max_unmarked") {
			s.MaxUnmarked = derived.MaxUnmarked
		}
		if !r.isGiven(at + ".run_limit") {
			s.RunLimit = derived.RunLimit
		}
		if !r.isGiven(at + ".backoff.max") {
			s.Backoff.Max = derived.Backoff.Max
		}
		if !r.isGiven(at + ".dead_letter") {
			s.DeadLetter = derived.DeadLetter
		}
		if s.Defer != nil {
			s.Defer.Topic = cmp.Or(s.Defer.Topic, "deferred."+c.Group)
		}
	}
}

// checkTogether looks at what keys mean together. What is wrong by itself was reported before, and
// is left alone.
func (c *Config) checkTogether(r *configReader) {
	if c.NATS.URL != "" && r.isGiven("data_dir") && r.origins["nats.url"].label == "" && r.origins["data_dir"].label == "" {
		r.reportWarning("data_dir", "it has no effect beside nats.url: only the worker's own server keeps data there")
	}
	c.checkSchemas(r)
	c.checkStrict(r)
	c.checkNATS(r)
	c.checkOutbox(r)
	c.checkProvision(r)
	c.checkPartitions(r)
	for i := range c.Subscriptions {
		at := entryPath(string(SectionSubscriptions), i)
		s := &c.Subscriptions[i]
		s.checkHandler(r, at)
		s.checkExposure(r, at)
		s.checkTimes(r, at)
		s.checkRate(r, at)
		c.checkMarkRoom(r, at, s)
		c.checkMode(r, at, s)
		c.checkLetters(r, at, s)
		c.checkOrder(r, at, s)
		c.checkOverlap(r, i)
		c.checkDefer(r, i)
	}
	c.checkLoops(r)
	c.checkProjections(r)
	c.shareHostLimits(r)
	for i := range c.Subscriptions {
		c.Subscriptions[i].checkBatch(r, entryPath(string(SectionSubscriptions), i))
	}
}

func (s *Subscription) checkHandler(r *configReader, at string) {
	path, given := at+".handler", s.Handler.givenKeys()
	switch {
	case r.hasMistake[path]:
	case len(given) == 0 && r.isExplained(path):
		r.hasMistake[path] = true
	case len(given) == 0 && r.file == "":
		r.origins[path] = valueOrigin{label: "--exec"}
		r.reportMistake(path, "it is required: command line to run")
	case len(given) == 0:
		r.reportMistake(path, "it is missing: add one of %s below handler", orList(fieldNames(fieldAt(path).children)))
	case len(given) > 1:
		r.reportMistake(path, "there are %d, %s: keep one", len(given), strings.Join(given, " and "))
	}
	if s.Handler.HTTP != nil {
		s.Handler.HTTP.TLS.checkPair(r, path+".http.tls")
		s.checkTimeout(r, at)
	}
}

// checkTimeout warns of a time-out that never comes.
func (s *Subscription) checkTimeout(r *configReader, at string) {
	timeout, limit := at+".handler.http.timeout", at+".run_limit"
	if p, ok := r.firstGiven(timeout, limit); ok && s.Handler.HTTP.Timeout > s.RunLimit {
		r.reportWarning(p, "the HTTP timeout, %s, is longer than %s, %s, which ends the exchange before it",
			r.shownDuration(timeout, s.Handler.HTTP.Timeout), r.shownName(limit), r.shownDuration(limit, s.RunLimit))
	}
}

// checkExposure refuses a bound of unmarked events that would leave slots empty.
func (s *Subscription) checkExposure(r *configReader, at string) {
	unmarked, concurrency := at+".max_unmarked", at+".concurrency"
	if p, ok := r.firstGiven(unmarked, concurrency); ok && s.MaxUnmarked < s.Concurrency.Max {
		r.reportMistake(p, "%s is %s: it must be at least %s, %s", r.shownName(unmarked), r.shownValue(unmarked, strconv.Itoa(s.MaxUnmarked)),
			r.shownName(concurrency), r.shownValue(concurrency, strconv.Itoa(s.Concurrency.Max)))
	}
}

// checkTimes refuses marks that expire while their event may still be redelivered.
func (s *Subscription) checkTimes(r *configReader, at string) {
	base, most, ttl, lease := at+".backoff.base", at+".backoff.max", at+".ttl", at+".lease"
	runLimit, ackWait, giveUp := at+".run_limit", at+".ack_wait", at+".give_up"
	say := func(path string, d time.Duration) string { return r.shownName(path) + " " + r.shownDuration(path, d) }
	ttlIs := r.shownName(ttl) + " is " + r.shownDuration(ttl, s.TTL)
	s.Backoff.checkOrder(r, at+".backoff")
	if p, ok := r.firstGiven(ttl, lease); ok && s.TTL <= s.Lease {
		r.reportMistake(p, "%s: it must be longer than %s", ttlIs, say(lease, s.Lease))
		return
	}
	if r.isGiven(giveUp) && !r.hasMistake[giveUp] && s.GiveUp > s.TTL/2 {
		r.reportWarning(giveUp, "%s is %s, but half of %s ends it before", r.shownName(giveUp), r.shownDuration(giveUp, s.GiveUp), say(ttl, s.TTL))
	}
	horizon := (&consumer.Options{AckWait: s.AckWait, Backoff: consumer.Backoff{Max: s.Backoff.Max}, RunLimit: s.RunLimit}).Horizon()
	if p, ok := r.firstGiven(ttl, runLimit, most, ackWait, base); ok && s.TTL < horizon {
		r.reportMistake(p, "%s, but an event may be redelivered for longer (%s + %s + %s): raise %s or lower the others",
			ttlIs, say(ackWait, s.AckWait), say(most, s.Backoff.Max), say(runLimit, s.RunLimit), r.shownName(ttl))
	}
}

// checkOrder refuses a longest wait that is shorter than the first one.
func (b *Backoff) checkOrder(r *configReader, at string) {
	base, most := at+".base", at+".max"
	if p, ok := r.firstGiven(base, most); ok && b.Base > b.Max {
		r.reportMistake(p, "%s is %s, longer than %s %s: raise the second or lower the first", r.shownName(base), r.shownDuration(base, b.Base),
			r.shownName(most), r.shownDuration(most, b.Max))
	}
}

// checkMode refuses mode transactional where it would promise what it does not keep: the
// effect of the handler must be in the transaction.
func (c *Config) checkMode(r *configReader, at string, s *Subscription) {
	mode, limit, crashes := at+".mode", at+".run_limit", at+".crashes"
	if s.Mode == consumer.SeenMark && r.isGiven(crashes) {
		r.reportWarning(crashes, "it has no effect in mode seen-mark, which does not recognise crashes")
	}
	if s.Mode != consumer.Transactional || r.hasMistake[mode] {
		return
	}
	if c.Mongo.URI == "" && !r.hasMistake["mongo.uri"] {
		r.reportMistake(mode, "transactions are MongoDB's, and none is named: set mongo.uri, --mongo or MONGODB_URI, or use mode claimed")
	}
	if p := s.Handler.Publish; !r.hasMistake[at+".handler"] && (p == nil || !p.Outbox) {
		r.reportMistake(mode, "what this handler does is not in the transaction: only publish with outbox: true is; use mode claimed")
	}
	if p, ok := r.firstGiven(limit, mode); ok && s.RunLimit > dedupe.MaxTransaction {
		r.reportMistake(p, "run_limit is %s: in mode transactional it is at most %s, for the server ends a transaction after 60s",
			r.shownDuration(limit, s.RunLimit), FormatDuration(dedupe.MaxTransaction))
	}
}

// checkLetters refuses a dead-letter topic whose letters come back to the subscription.
func (c *Config) checkLetters(r *configReader, at string, s *Subscription) {
	topic, letters := at+".topic", at+".dead_letter"
	if r.hasMistake["group"] || c.Group == "" {
		return
	}
	if !r.isGiven(letters) && bus.ValidTopic(s.DeadLetter) != nil {
		r.reportMistake("group", "%s gives no topic for dead letters (dead.GROUP): name a group without spaces, and without dots at its ends, or set %s",
			r.shownValue("group", quoteShort(c.Group)), r.shownName(letters))
		r.hasMistake[letters] = true
	}
	if p, ok := r.firstGiven(letters, topic); ok && bus.Match(s.Topic, s.DeadLetter) {
		r.reportMistake(p, "the topic %s also receives its own dead letters, on %s: set %s to another topic", r.shownValue(topic, quoteShort(s.Topic)),
			r.shownValue(letters, quoteShort(s.DeadLetter)), r.shownName(letters))
	}
}

// checkOverlap refuses topics that one event could be on twice.
func (c *Config) checkOverlap(r *configReader, i int) {
	for j := range i {
		mine, other := entryPath(string(SectionSubscriptions), i)+".topic", entryPath(string(SectionSubscriptions), j)+".topic"
		if r.hasMistake[mine] || r.hasMistake[other] {
			continue
		}
		a, b := c.Subscriptions[i].Topic, c.Subscriptions[j].Topic
		switch {
		case c.Subscriptions[i].readsPartitionsUnder(b):
			r.reportMistake(mine, "its partitions are below it, where %s of subscriptions[%d] takes their events too: a group handles each event once; use another group",
				r.shownValue(other, quoteShort(b)), j)
			return
		case c.Subscriptions[j].readsPartitionsUnder(a):
			r.reportMistake(mine, "%s also takes the events of the partitions of %s, of subscriptions[%d]: a group handles each event once; use another group",
				r.shownValue(mine, quoteShort(a)), r.shownValue(other, quoteShort(b)), j)
			return
		case bus.Overlap(a, b):
			r.reportMistake(mine, "%s overlaps with %s of subscriptions[%d]: a group handles each event once; join them, or use another group",
				r.shownValue(mine, quoteShort(a)), r.shownValue(other, quoteShort(b)), j)
			return
		}
	}
}
