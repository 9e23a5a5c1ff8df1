package kv

import (
	"time"

	"github.com/onceish/onceish/internal/natsserver"
)

// warnOfPings warns once when leases may end before the connection notices that its server is frozen.
func (s *Store) warnOfPings(lease time.Duration) {
	if o := &s.nc.Opts; natsserver.NoticesTooLate(o, lease) && !s.warnedOfPings.Swap(true) {
		s.log.Warn("a frozen NATS server is noticed so late that leases end meanwhile, and their events run again: "+
			"connect with shorter pings, such as those of bus/jetstream's ConnectionOptions for this lease, or raise it",
			"noticed_within", natsserver.NoticesWithin(o), "lease", lease, "bucket", s.bucket)
	}
}
