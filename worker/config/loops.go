package config

import (
	"slices"

	"github.com/onceish/onceish/bus"
)

// handover is how events of one subscription become events of another: its handler publishes them,
// or they are its dead letters.
type handover struct {
	from, to int
	letters  bool
}

// loopFinder follows events from subscription to subscription.
type loopFinder struct {
	config *Config
	reader *reader
	leave  [][]handover // by subscription
	way    []handover   // on which the current subscription was reached
	known  []bool       // was followed
	onWay  []bool       // is being followed
}

// checkLoops refuses events that come back to where they were, and so are handled for ever.
func (c *Config) checkLoops(r *reader) {
	n := len(c.Subscriptions)
	f := &loopFinder{config: c, reader: r, leave: c.handovers(), known: make([]bool, n), onWay: make([]bool, n)}
	for i := range n {
		f.follow(i)
	}
}

// handovers leave out dead letters that come back at once, which checkLetters refuses.
func (c *Config) handovers() [][]handover {
	out := make([][]handover, len(c.Subscriptions))
	for to, s := range c.Subscriptions {
		if bus.ValidPattern(s.Topic) != nil {
			continue
		}
		for from, other := range c.Subscriptions {
			if p := other.Handler.Publish; p != nil && bus.ValidTopic(p.Topic) == nil && bus.Match(s.Topic, p.Topic) {
				out[from] = append(out[from], handover{from: from, to: to})
			}
			if from != to && bus.ValidTopic(other.DeadLetter) == nil && bus.Match(s.Topic, other.DeadLetter) {
				out[from] = append(out[from], handover{from: from, to: to, letters: true})
			}
		}
	}
	return out
}

// follow visits each subscription once, and so finds a loop wherever there is one, if not all.
func (f *loopFinder) follow(i int) {
	if f.known[i] || len(f.reader.problems) >= mostProblems {
		return
	}
	f.known[i], f.onWay[i] = true, true
	for _, h := range f.leave[i] {
		f.way = append(f.way, h)
		if f.onWay[h.to] {
			first := slices.IndexFunc(f.way, func(h2 handover) bool { return h2.from == h.to })
			f.refuse(slices.Clone(f.way[first:]))
		}
		f.follow(h.to)
		f.way = f.way[:len(f.way)-1]
	}
	f.onWay[i] = false
}

// refuse reports a loop where it leaves the first of its subscriptions.
func (f *loopFinder) refuse(loop []handover) {
	start := 0
	for i, h := range loop {
		if h.from < loop[start].from {
			start = i
		}
	}
	loop = slices.Concat(loop[start:], loop[:start])
	r, first := f.reader, loop[0]
	at := entry(string(SectionSubscriptions), first.from)
	to, topic := at+".handler.publish.topic", at+".topic"
	if first.letters {
		to := at + ".dead_letter"
		r.mistake(to, "dead letters on %s come back to this subscription by way of subscriptions[%d]: events would go round for ever; set %s to another topic",
			r.shown(to, quote(f.config.Subscriptions[first.from].DeadLetter)), loop[len(loop)-1].from, r.called(to))
		return
	}
	shown := r.shown(to, quote(f.config.Subscriptions[first.from].Handler.Publish.Topic))
	if len(loop) == 1 {
		r.mistake(to, "%s is received by the subscription itself, on %s: events would go round for ever; publish to another topic",
			shown, r.shown(topic, quote(f.config.Subscriptions[first.from].Topic)))
		return
	}
	if i := slices.IndexFunc(loop, func(h handover) bool { return h.letters }); i > 0 {
		r.mistake(to, "%s comes back to this subscription by way of the dead letters of subscriptions[%d]: events would go round for ever; set dead_letter there to another topic",
			shown, loop[i].from)
		return
	}
	r.mistake(to, "%s comes back to this subscription by way of subscriptions[%d]: events would go round for ever; publish to another topic", shown, loop[len(loop)-1].from)
}
