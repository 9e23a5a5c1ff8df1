package simulation

import (
	"github.com/onceish/onceish/consumer/internal/protocol"
)

// ownerMutants are mistakes about who owns a partition. They matter in one seed of four.
var ownerMutants = []mutant{
	{"a new owner starts before the old one has drained", "handover", func() mutation { return mutation{freesFirst: true} }},
	{"a new owner starts at the newest event", "lowest", func() mutation { return mutation{neverRewinds: true} }},
	{"later events overtake what a former owner had", "sequence", func() mutation { return mutation{neverRewinds: true} }},
	{"the end of an ownership is not looked at", "owner", func() mutation { return mutation{ownsForEver: true} }},
	{"what another has releases its key", "sequence", func() mutation {
		return mutation{config: func(c *protocol.Config) { c.Owned = false }}
	}},
	{"a key goes on beside what another runs", "beside", func() mutation {
		return mutation{config: func(c *protocol.Config) { c.Owned = false }}
	}},
	{"what is delivered after a lost delivery is taken in", "sequence", func() mutation { return mutation{gapsIgnored: true} }},
	{"a lost owner answers the bus", "silent", func() mutation { return mutation{answersAsLost: true} }},
}
