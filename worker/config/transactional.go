package config

import (
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// transactionalRunLimit is the default of run_limit in mode transactional.
func transactionalRunLimit() time.Duration {
	o, _ := (&consumer.Options{Mode: consumer.Transactional}).WithDefaults("group") // defaults are valid
	return o.RunLimit
}

// checkTransactional refuses mode transactional where it would promise what it does not keep: the
// effect of the handler must be in the transaction.
func (c *Config) checkTransactional(r *configReader, at string, s *Subscription) {
	mode, limit := at+".mode", at+".run_limit"
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
			r.shownValue(limit, formatDuration(s.RunLimit)), formatDuration(dedupe.MaxTransaction))
	}
}
