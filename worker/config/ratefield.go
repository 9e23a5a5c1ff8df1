package config

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/worker/internal/header"
)

// limitKeyForm is what has a limit of its own.
var limitKeyForm = regexp.MustCompile(`^(topic|key|type|header:` + strings.Trim(header.Form, "^$") + `)$`)

// rateKeys have the bounds of flow.Rate and of consumer.Options.
func rateKeys(limits consumer.Limits) []field[Rate] {
	type between = consumer.Limit[int]
	strategies := make([]namedValue[flow.Strategy], 0, 4)
	for s := flow.TokenBucket; s <= flow.SlidingLog; s++ {
		strategies = append(strategies, namedValue[flow.Strategy]{s.String(), s})
	}
	by := patternField("by", "topic, key, type or header:NAME", func(r *Rate) *string { return &r.By }, limitKeyForm).withDefault(byTopic).
		withFlag("rate-by", "KEY").describedAs("what has a limit of its own: each topic, key, type, or value of a header (header:NAME); events without one share a limit")
	by.kind = "`topic`, `key`, `type` or `header:NAME`"
	wait := limits.LimitWait
	wait.Min = time.Millisecond
	return []field[Rate]{
		startsField("limit", func(r *Rate) *Starts { return &r.Limit }).markRequired().
			withFlag("rate", "RATE").withDefaultText(noLimit).describedAs("how many handlers may start, such as 100/s, 30/m or 5/h"),
		durationField("per", func(r *Rate) *time.Duration { return &r.Per }, consumer.Limit[time.Duration]{Min: time.Millisecond, Max: maxRatePer}).withDefault(time.Second).
			describedAs("the time of a limit that is a number alone: with limit 2 and per 2s two may start at once"),
		intField("burst", func(r *Rate) *int { return &r.Burst }, between{Min: 1, Max: maxStarts}).withDefaultText("what may start in a second, at least 1; limit if that is a number alone").
			describedAs("how many may start at once after a rest, with strategy token-bucket"),
		enumField("strategy", func(r *Rate) *flow.Strategy { return &r.Strategy }, strategies...).
			withFlag("rate-strategy", "STRATEGY").describedAs("how starts are counted: token-bucket, evenly after a burst; fixed-window; sliding-window; or sliding-log, never more than the limit in any time of its length"),
		by,
		boolField("shared", func(r *Rate) *bool { return &r.Shared }).
			withFlag("rate-shared", "true").describedAs("one limit over all processes of the group"),
		enumField("on_outage", func(r *Rate) *flow.OnOutage { return &r.OnOutage }, namedValue[flow.OnOutage]{"open", flow.FailOpen}, namedValue[flow.OnOutage]{"closed", flow.FailClosed}).
			describedAs("while the store of a shared limit cannot be used: each process starts its share (open), or nothing starts (closed)"),
		intField("queue", func(r *Rate) *int { return &r.Queue }, between{Min: 1, Max: limits.LimitQueue.Max}).withDefaultText("concurrency; half of it where there are several keys").
			describedAs("how many events may wait for the limit in their slots at once; more are given back"),
		durationField("max_wait", func(r *Rate) *time.Duration { return &r.MaxWait }, wait).withDefaultText("lease").
			describedAs("how long an event may wait for the limit in its slot; one that would wait for longer is given back"),
		intField("max_keys", func(r *Rate) *int { return &r.MaxKeys }, between{Min: 1, Max: maxLimitKeys}).withDefault(flow.DefaultMaxKeys).
			describedAs("how many keys have a limit of their own; further ones share one while none is idle"),
	}
}

// startsField is a limit with its unit, or a number alone.
func startsField[S any](name string, at func(*S) *Starts) *scalarField[S, Starts] {
	l := newScalarField(name, "rate or number", "a rate such as 100/s, 30/m or 5/h", at, parseStarts, Starts.String)
	l.bounds = fmt.Sprintf("1 to %d", maxStarts)
	l.yamlTags = append(l.yamlTags, "!!int", "!!float") // for a better message
	l.jsonShape = map[string]any{"anyOf": []any{
		map[string]any{"type": "integer", "minimum": 1, "maximum": maxStarts},
		map[string]any{"type": "string", "pattern": `^ *0*[1-9][0-9]* *(/ *[smh] *)?$`},
	}}
	return l
}

// checkNumbers refuses a rate that cannot be kept. What is wrong with a key alone was reported.
func (rate *Rate) checkNumbers(r *configReader, at string) {
	limit, per, burst, strategy := at+".limit", at+".per", at+".burst", at+".strategy"
	if rate == nil || r.hasMistake[limit] {
		return
	}
	count := r.shownValue(limit, rate.Limit.String())
	switch {
	case rate.Limit.Per == 0 && !r.isGiven(per) && r.isShortForm(at, limit):
		r.reportMistake(limit, "%v", noUnitError(r.shownValue(limit, quoteShort(rate.Limit.String()))))
	case rate.Limit.Per > 0 && r.isGivenValid(per):
		r.reportMistake(per, "%s is %s and %s is %s: write limit: %s, per: %s", r.shownName(limit), count, r.shownName(per), r.shownDuration(per, rate.Per),
			r.shownValue(limit, strconv.Itoa(rate.Limit.Count)), r.shownDuration(per, rate.Per))
	}
	name := r.shownValue(strategy, rate.Strategy.String())
	if p, ok := r.firstGiven(burst, strategy); ok && rate.Burst > 0 && rate.Strategy != flow.TokenBucket {
		r.reportMistake(p, "%s is for token-bucket, and %s is %s: remove one", r.shownName(burst), r.shownName(strategy), name)
	}
	if p, ok := r.firstGiven(limit, strategy); ok && rate.Strategy == flow.SlidingLog {
		switch {
		case rate.Shared && rate.Limit.Count > flow.MaxSharedLog:
			r.reportMistake(p, "%s is %s: a %s that is shared has at most %d, for it remembers each start; use sliding-window", r.shownName(limit), count, name, flow.MaxSharedLog)
		case rate.Limit.Count > maxLogStarts:
			r.reportMistake(p, "%s is %s: a %s has at most %d, for it remembers each start; use sliding-window", r.shownName(limit), count, name, maxLogStarts)
		}
	}
}

// isShortForm reports whether a value is all there is of the mapping it is in: a bare value, or
// a flag.
func (r *configReader) isShortForm(mapping, value string) bool {
	m, v := r.origins[mapping], r.origins[value]
	return v.label != "" || m.line == v.line && m.column == v.column
}

// checkRate warns of what has no effect, or is likely not wanted.
func (s *Subscription) checkRate(r *configReader, at string) {
	rate, at := s.Rate, at+".rate"
	if rate == nil {
		return
	}
	rate.checkNumbers(r, at)
	onOutage, maxKeys, maxWait := at+".on_outage", at+".max_keys", at+".max_wait"
	if r.isGivenValid(onOutage) && !rate.Shared && !r.hasMistake[at+".shared"] {
		r.reportWarning(onOutage, "it has no effect without shared: true, for only a shared limit has a store")
	}
	if r.isGivenValid(maxKeys) && s.hasOneLimit(r, at) {
		r.reportWarning(maxKeys, "it has no effect: by is topic, and %s is one topic", r.shownValue(parentPath(at)+".topic", quoteShort(s.Topic)))
	}
	if lease := parentPath(at) + ".lease"; r.isGivenValid(maxWait) && !r.hasMistake[lease] && rate.MaxWait > s.Lease {
		r.reportWarning(maxWait, "%s is %s, but %s, %s, ends the wait before it", r.shownName(maxWait), r.shownDuration(maxWait, rate.MaxWait),
			r.shownName(lease), r.shownDuration(lease, s.Lease))
	}
	s.checkQueue(r, at)
}

// checkQueue warns of a queue that cannot fill, or that leaves slots without events.
func (s *Subscription) checkQueue(r *configReader, at string) {
	queue, concurrency := at+".queue", parentPath(at)+".concurrency"
	if !r.isGivenValid(queue) || r.hasMistake[concurrency] {
		return
	}
	isText := r.shownName(queue) + " is " + r.shownValue(queue, strconv.Itoa(s.Rate.Queue))
	slots := r.shownName(concurrency) + ", " + r.shownValue(concurrency, strconv.Itoa(s.Concurrency.Max))
	switch {
	case s.Rate.Queue > s.Concurrency.Max:
		r.reportWarning(queue, "%s, more than %s: events wait in slots, and there are no more", isText, slots)
	case 2*s.Rate.Queue < s.Concurrency.Max && s.hasOneLimit(r, at):
		r.reportWarning(queue, "%s, less than half of %s: the other slots stay idle while the limit binds, for all events have one", isText, slots)
	}
}

// hasOneLimit reports whether all events of the subscription share one limit.
func (s *Subscription) hasOneLimit(r *configReader, at string) bool {
	by, topic := at+".by", parentPath(at)+".topic"
	return !r.hasMistake[by] && !r.hasMistake[topic] && cmp.Or(s.Rate.By, byTopic) == byTopic && bus.ValidTopic(s.Topic) == nil
}
