package config

import "github.com/onceish/onceish/internal/sizing"

// checkMarkRoom warns of marks in NATS that would not fit into the server's memory, should events
// come as fast as a rate lets them start.
func (c *Config) checkMarkRoom(r *configReader, at string, s *Subscription) {
	rate, ttl := at+".rate", at+".ttl"
	if s.Rate == nil || c.Mongo.URI != "" || r.hasMistake["mongo.uri"] || r.hasMistake[ttl] || r.hasMistake[rate+".limit"] || !s.hasOneLimit(r, rate) ||
		r.origins[ttl].isHidden() || r.nearestOrigin(rate+".limit").isHidden() {
		return
	}
	f := s.Rate.FlowRate()
	marks := sizing.KV.Estimate(sizing.Load{Rate: float64(f.Limit) / f.Per.Seconds(), TTL: s.TTL, KeyLength: sizing.DefaultKeyLength})
	if fits, _ := sizing.KV.Verdict(marks); !fits {
		r.reportWarning(rate, "at this rate there are %s marks within %s %s, and NATS needs about %s of memory for them: shorten %s, or keep marks in MongoDB (mongo.uri)",
			sizing.Count(marks.Keys), r.shownName(ttl), r.shownDuration(ttl, s.TTL), sizing.Bytes(marks.Memory), r.shownName(ttl))
	}
}
