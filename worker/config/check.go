package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// settle fills in defaults that depend on other keys.
func (c *Config) settle(r *reader) {
	if _, given := r.given["outbox.backoff.max"]; c.Outbox != nil && !given {
		c.Outbox.Backoff.Max = max(c.Outbox.Backoff.Max, c.Outbox.Backoff.Base)
	}
	for i := range c.Subscriptions {
		s, at := &c.Subscriptions[i], entry(string(SectionSubscriptions), i)
		if _, given := r.given[at+".max_unmarked"]; !given {
			s.MaxUnmarked = s.Concurrency
		}
		if s.Mode == consumer.Transactional && !r.has(at+".run_limit") {
			s.RunLimit = transactionalRunLimit()
		}
		if _, given := r.given[at+".backoff.max"]; !given {
			s.Backoff.Max = max(s.Backoff.Max, s.Backoff.Base)
		}
		if _, given := r.given[at+".dead_letter"]; !given {
			s.DeadLetter = "dead." + c.Group
		}
	}
}

// check looks at what keys mean together. What is wrong by itself was reported before, and
// is left alone.
func (c *Config) check(r *reader) {
	if c.NATS.URL != "" {
		if _, given := r.given["data_dir"]; given && r.given["nats.url"].label == "" && r.given["data_dir"].label == "" {
			r.warn("data_dir", "it has no effect beside nats.url: only the worker's own server keeps data there")
		}
	}
	c.checkNATS(r)
	c.checkOutbox(r)
	for i := range c.Subscriptions {
		at := entry(string(SectionSubscriptions), i)
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

func (s *Subscription) checkHandler(r *reader, at string) {
	path, all := at+".handler", object[Handler](handlerKeys())
	given := slices.DeleteFunc(names(all.specs()), func(name string) bool { return !s.Handler.has(name) })
	switch {
	case r.bad[path]:
	case len(given) == 0 && r.explained(path):
		r.bad[path] = true
	case len(given) == 0 && r.file == "":
		r.given[path] = origin{label: "--exec"}
		r.mistake(path, "it is required: command line to run")
	case len(given) == 0:
		r.mistake(path, "it is missing: add one of %s below handler", list(names(all.specs())))
	case len(given) > 1:
		r.mistake(path, "there are %d, %s: keep one", len(given), strings.Join(given, " and "))
	}
	if s.Handler.HTTP != nil {
		s.Handler.HTTP.TLS.check(r, path+".http.tls")
		s.checkTimeout(r, at)
	}
}

// checkTimeout warns of a time-out that never comes.
func (s *Subscription) checkTimeout(r *reader, at string) {
	timeout, limit := at+".handler.http.timeout", at+".run_limit"
	if p, ok := r.blame(timeout, limit); ok && s.Handler.HTTP.Timeout > s.RunLimit {
		r.warn(p, "the HTTP timeout, %s, is longer than %s, %s, which ends the exchange before it",
			r.shown(timeout, formatDuration(s.Handler.HTTP.Timeout)), r.called(limit), r.shown(limit, formatDuration(s.RunLimit)))
	}
}

// checkExposure refuses a bound of unmarked events that would leave slots empty.
func (s *Subscription) checkExposure(r *reader, at string) {
	unmarked, concurrency := at+".max_unmarked", at+".concurrency"
	if p, ok := r.blame(unmarked, concurrency); ok && s.MaxUnmarked < s.Concurrency {
		r.mistake(p, "%s is %s: it must be at least %s, %s", r.called(unmarked), r.shown(unmarked, strconv.Itoa(s.MaxUnmarked)),
			r.called(concurrency), r.shown(concurrency, strconv.Itoa(s.Concurrency)))
	}
}

// checkTimes refuses marks that expire while their event may still come again.
func (s *Subscription) checkTimes(r *reader, at string) {
	base, most, ttl, lease := at+".backoff.base", at+".backoff.max", at+".ttl", at+".lease"
	runLimit, ackWait := at+".run_limit", at+".ack_wait"
	say := func(path string, d time.Duration) string {
		return r.called(path) + " " + r.shown(path, formatDuration(d))
	}
	is := func(path string, d time.Duration) string {
		return r.called(path) + " is " + r.shown(path, formatDuration(d))
	}
	if p, ok := r.blame(base, most); ok && s.Backoff.Base > s.Backoff.Max {
		r.mistake(p, "%s, longer than %s: raise the second or lower the first", is(base, s.Backoff.Base), say(most, s.Backoff.Max))
	}
	if p, ok := r.blame(ttl, lease); ok && s.TTL <= s.Lease {
		r.mistake(p, "%s: it must be longer than %s", is(ttl, s.TTL), say(lease, s.Lease))
		return
	}
	giveUp := at + ".give_up"
	if _, given := r.given[giveUp]; given && !r.bad[giveUp] && s.GiveUp > s.TTL/2 {
		r.warn(giveUp, "%s, but half of %s ends it before", is(giveUp, s.GiveUp), say(ttl, s.TTL))
	}
	horizon := (&consumer.Options{AckWait: s.AckWait, Backoff: consumer.Backoff{Max: s.Backoff.Max}, RunLimit: s.RunLimit}).Horizon()
	if p, ok := r.blame(ttl, runLimit, most, ackWait, base); ok && s.TTL < horizon {
		r.mistake(p, "%s, but an event may come again for longer (%s + %s + %s): raise %s or lower the others",
			is(ttl, s.TTL), say(ackWait, s.AckWait), say(most, s.Backoff.Max), say(runLimit, s.RunLimit), r.called(ttl))
	}
}

func (s *Subscription) checkMode(r *reader, at string) {
	path := at + ".crashes"
	if _, given := r.given[path]; given && s.Mode == consumer.SeenMark {
		r.warn(path, "it has no effect in mode seen-mark, which does not recognise crashes")
	}
}

// checkLetters refuses a dead-letter topic whose letters come back to the subscription.
func (c *Config) checkLetters(r *reader, at string, s *Subscription) {
	topic, letters := at+".topic", at+".dead_letter"
	if r.bad["group"] || c.Group == "" {
		return
	}
	if _, given := r.given[letters]; !given && bus.ValidTopic(s.DeadLetter) != nil {
		r.mistake("group", "%s gives no topic for dead letters (dead.GROUP): name a group without spaces, and without dots at its ends, or set %s",
			r.shown("group", quote(c.Group)), r.called(letters))
		r.bad[letters] = true
	}
	if p, ok := r.blame(letters, topic); ok && bus.Match(s.Topic, s.DeadLetter) {
		r.mistake(p, "the topic %s also receives its own dead letters, on %s: set %s to another topic", r.shown(topic, quote(s.Topic)),
			r.shown(letters, quote(s.DeadLetter)), r.called(letters))
	}
}

// checkOverlap refuses topics that one event could be on twice.
func (c *Config) checkOverlap(r *reader, i int) {
	for j := range i {
		mine, other := entry(string(SectionSubscriptions), i)+".topic", entry(string(SectionSubscriptions), j)+".topic"
		if r.bad[mine] || r.bad[other] {
			continue
		}
		if a, b := c.Subscriptions[i].Topic, c.Subscriptions[j].Topic; bus.Overlap(a, b) {
			r.mistake(mine, "%s overlaps with %s of subscriptions[%d]: a group handles each event once; join them, or use another group",
				r.shown(mine, quote(a)), r.shown(other, quote(b)), j)
			return
		}
	}
}
