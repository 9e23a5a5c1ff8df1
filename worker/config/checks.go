package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// deriveDefaults fills in defaults that depend on other keys.
func (c *Config) deriveDefaults(r *configReader) {
	if _, given := r.origins["outbox.backoff.max"]; c.Outbox != nil && !given {
		c.Outbox.Backoff.Max = max(c.Outbox.Backoff.Max, c.Outbox.Backoff.Base)
	}
	for i := range c.Subscriptions {
		s, at := &c.Subscriptions[i], entryPath(string(SectionSubscriptions), i)
		if _, given := r.origins[at+".max_unmarked"]; !given {
			s.MaxUnmarked = s.Concurrency
		}
		if s.Mode == consumer.Transactional && !r.isGiven(at+".run_limit") {
			s.RunLimit = transactionalRunLimit()
		}
		if _, given := r.origins[at+".backoff.max"]; !given {
			s.Backoff.Max = max(s.Backoff.Max, s.Backoff.Base)
		}
		if _, given := r.origins[at+".dead_letter"]; !given {
			s.DeadLetter = "dead." + c.Group
		}
	}
}

// checkTogether looks at what keys mean together. What is wrong by itself was reported before, and
// is left alone.
func (c *Config) checkTogether(r *configReader) {
	if c.NATS.URL != "" {
		if _, given := r.origins["data_dir"]; given && r.origins["nats.url"].label == "" && r.origins["data_dir"].label == "" {
			r.reportWarning("data_dir", "it has no effect beside nats.url: only the worker's own server keeps data there")
		}
	}
	c.checkNATS(r)
	c.checkOutbox(r)
	for i := range c.Subscriptions {
		at := entryPath(string(SectionSubscriptions), i)
		s := &c.Subscriptions[i]
		s.checkHandler(r, at)
		s.checkExposure(r, at)
		s.checkTimes(r, at)
		s.checkMode(r, at)
		c.checkTransactional(r, at, s)
		c.checkLetters(r, at, s)
		c.checkOverlap(r, i)
	}
	c.checkLoops(r)
}

func (s *Subscription) checkHandler(r *configReader, at string) {
	path, all := at+".handler", fieldSet[Handler](handlerKeys())
	given := slices.DeleteFunc(fieldNames(all.fieldInfos()), func(name string) bool { return !s.Handler.has(name) })
	switch {
	case r.hasMistake[path]:
	case len(given) == 0 && r.isExplained(path):
		r.hasMistake[path] = true
	case len(given) == 0 && r.file == "":
		r.origins[path] = valueOrigin{label: "--exec"}
		r.reportMistake(path, "it is required: command line to run")
	case len(given) == 0:
		r.reportMistake(path, "it is missing: add one of %s below handler", orList(fieldNames(all.fieldInfos())))
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
			r.shownValue(timeout, formatDuration(s.Handler.HTTP.Timeout)), r.shownName(limit), r.shownValue(limit, formatDuration(s.RunLimit)))
	}
}

// checkExposure refuses a bound of unmarked events that would leave slots empty.
func (s *Subscription) checkExposure(r *configReader, at string) {
	unmarked, concurrency := at+".max_unmarked", at+".concurrency"
	if p, ok := r.firstGiven(unmarked, concurrency); ok && s.MaxUnmarked < s.Concurrency {
		r.reportMistake(p, "%s is %s: it must be at least %s, %s", r.shownName(unmarked), r.shownValue(unmarked, strconv.Itoa(s.MaxUnmarked)),
			r.shownName(concurrency), r.shownValue(concurrency, strconv.Itoa(s.Concurrency)))
	}
}

// checkTimes refuses marks that expire while their event may still be redelivered.
func (s *Subscription) checkTimes(r *configReader, at string) {
	base, most, ttl, lease := at+".backoff.base", at+".backoff.max", at+".ttl", at+".lease"
	runLimit, ackWait := at+".run_limit", at+".ack_wait"
	say := func(path string, d time.Duration) string {
		return r.shownName(path) + " " + r.shownValue(path, formatDuration(d))
	}
	is := func(path string, d time.Duration) string {
		return r.shownName(path) + " is " + r.shownValue(path, formatDuration(d))
	}
	if p, ok := r.firstGiven(base, most); ok && s.Backoff.Base > s.Backoff.Max {
		r.reportMistake(p, "%s, longer than %s: raise the second or lower the first", is(base, s.Backoff.Base), say(most, s.Backoff.Max))
	}
	if p, ok := r.firstGiven(ttl, lease); ok && s.TTL <= s.Lease {
		r.reportMistake(p, "%s: it must be longer than %s", is(ttl, s.TTL), say(lease, s.Lease))
		return
	}
	giveUp := at + ".give_up"
	if _, given := r.origins[giveUp]; given && !r.hasMistake[giveUp] && s.GiveUp > s.TTL/2 {
		r.reportWarning(giveUp, "%s, but half of %s ends it before", is(giveUp, s.GiveUp), say(ttl, s.TTL))
	}
	horizon := (&consumer.Options{AckWait: s.AckWait, Backoff: consumer.Backoff{Max: s.Backoff.Max}, RunLimit: s.RunLimit}).Horizon()
	if p, ok := r.firstGiven(ttl, runLimit, most, ackWait, base); ok && s.TTL < horizon {
		r.reportMistake(p, "%s, but an event may be redelivered for longer (%s + %s + %s): raise %s or lower the others",
			is(ttl, s.TTL), say(ackWait, s.AckWait), say(most, s.Backoff.Max), say(runLimit, s.RunLimit), r.shownName(ttl))
	}
}

func (s *Subscription) checkMode(r *configReader, at string) {
	path := at + ".crashes"
	if _, given := r.origins[path]; given && s.Mode == consumer.SeenMark {
		r.reportWarning(path, "it has no effect in mode seen-mark, which does not recognise crashes")
	}
}

// checkLetters refuses a dead-letter topic whose letters come back to the subscription.
func (c *Config) checkLetters(r *configReader, at string, s *Subscription) {
	topic, letters := at+".topic", at+".dead_letter"
	if r.hasMistake["group"] || c.Group == "" {
		return
	}
	if _, given := r.origins[letters]; !given && bus.ValidTopic(s.DeadLetter) != nil {
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
		if a, b := c.Subscriptions[i].Topic, c.Subscriptions[j].Topic; bus.Overlap(a, b) {
			r.reportMistake(mine, "%s overlaps with %s of subscriptions[%d]: a group handles each event once; join them, or use another group",
				r.shownValue(mine, quoteShort(a)), r.shownValue(other, quoteShort(b)), j)
			return
		}
	}
}
