package config

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/onceish/onceish/bus"
)

// eventPath is how events of one subscription become events of another: its handler publishes them,
// or they are its dead letters.
type eventPath struct {
	from, to      int
	asDeadLetters bool
	ofSummaries   bool // its deferral's handler publishes them
}

// loopFinder follows events from subscription to subscription.
type loopFinder struct {
	config      *Config
	reader      *configReader
	pathsFrom   [][]eventPath // by subscription
	currentPath []eventPath   // on which the current subscription was reached
	visited     []bool        // was followed
	onPath      []bool        // is being followed
}

// checkLoops refuses events that come back to where they were, and so are handled for ever.
func (c *Config) checkLoops(r *configReader) {
	n := len(c.Subscriptions)
	f := &loopFinder{config: c, reader: r, pathsFrom: c.eventPaths(), visited: make([]bool, n), onPath: make([]bool, n)}
	for i := range n {
		f.visitSubscription(i)
	}
}

// eventPaths leave out dead letters that come back at once, which checkLetters refuses.
func (c *Config) eventPaths() [][]eventPath {
	out := make([][]eventPath, len(c.Subscriptions))
	for to, s := range c.Subscriptions {
		if bus.ValidPattern(s.Topic) != nil {
			continue
		}
		for from, other := range c.Subscriptions {
			if d := other.Defer; d != nil && d.Handler != nil && d.Handler.Publish != nil && bus.ValidTopic(d.Handler.Publish.Topic) == nil && bus.Match(s.Topic, d.Handler.Publish.Topic) {
				out[from] = append(out[from], eventPath{from: from, to: to, ofSummaries: true})
			}
			if p := other.Handler.Publish; p != nil && bus.ValidTopic(p.Topic) == nil && bus.Match(s.Topic, p.Topic) {
				out[from] = append(out[from], eventPath{from: from, to: to})
			}
			if from != to && bus.ValidTopic(other.DeadLetter) == nil && bus.Match(s.Topic, other.DeadLetter) {
				out[from] = append(out[from], eventPath{from: from, to: to, asDeadLetters: true})
			}
		}
	}
	return out
}

// visitSubscription visits each subscription once, and so finds a loop wherever there is
// one, if not all.
func (f *loopFinder) visitSubscription(i int) {
	if f.visited[i] || len(f.reader.problems) >= maxProblems {
		return
	}
	f.visited[i], f.onPath[i] = true, true
	for _, h := range f.pathsFrom[i] {
		f.currentPath = append(f.currentPath, h)
		if f.onPath[h.to] {
			first := slices.IndexFunc(f.currentPath, func(h2 eventPath) bool { return h2.from == h.to })
			f.reportLoop(slices.Clone(f.currentPath[first:]))
		}
		f.visitSubscription(h.to)
		f.currentPath = f.currentPath[:len(f.currentPath)-1]
	}
	f.onPath[i] = false
}

// reportLoop reports a loop where it leaves the first of its subscriptions.
func (f *loopFinder) reportLoop(loop []eventPath) {
	start := slices.Index(loop, slices.MinFunc(loop, func(a, b eventPath) int { return cmp.Compare(a.from, b.from) }))
	loop = slices.Concat(loop[start:], loop[:start])
	r, first, last := f.reader, loop[0], loop[len(loop)-1].from
	from := &f.config.Subscriptions[first.from]
	at := entryPath(string(SectionSubscriptions), first.from)
	if first.asDeadLetters {
		to := at + ".dead_letter"
		r.reportMistake(to, "dead letters on %s come back to this subscription by way of subscriptions[%d]: events would go round for ever; set %s to another topic",
			r.shownValue(to, quoteShort(from.DeadLetter)), last, r.shownName(to))
		return
	}
	to, topic, handler := at+".handler.publish.topic", at+".topic", &from.Handler
	if first.ofSummaries {
		to, handler = at+".defer.handler.publish.topic", from.Defer.Handler
	}
	shown := r.shownValue(to, quoteShort(handler.Publish.Topic))
	via, advice := fmt.Sprintf("subscriptions[%d]", last), "publish to another topic"
	if len(loop) == 1 {
		r.reportMistake(to, "%s is received by the subscription itself, on %s: events would go round for ever; publish to another topic",
			shown, r.shownValue(topic, quoteShort(from.Topic)))
		return
	}
	if i := slices.IndexFunc(loop, func(h eventPath) bool { return h.asDeadLetters }); i > 0 {
		via, advice = fmt.Sprintf("the dead letters of subscriptions[%d]", loop[i].from), "set dead_letter there to another topic"
	}
	r.reportMistake(to, "%s comes back to this subscription by way of %s: events would go round for ever; %s", shown, via, advice)
}
