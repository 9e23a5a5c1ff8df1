package config

import (
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

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
			r.shownDuration(limit, s.RunLimit), formatDuration(dedupe.MaxTransaction))
	}
}
