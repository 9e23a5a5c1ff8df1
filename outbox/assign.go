package outbox

import (
	"slices"
	"time"
)

// Holding is who has had a partition last, until when, and under which token.
type Holding struct {
	// Owner is empty after a release.
	Owner string
	Token uint64
	Until time.Time
}

// Under reports whether the owner holds the partition under that very lease: it was not renewed
// since, and nobody else has taken the partition.
func (h *Holding) Under(owner string, l Lease) bool {
	return h.Owner == owner && h.Token == l.Token && h.Until.Equal(l.Until)
}

// Grant is a partition that an owner gets.
type Grant struct {
	Partition int
	// Taken says that somebody else had it before: its token grows.
	Taken bool
	// Ending says that others wait for it: its lease is not renewed.
	Ending bool
}

// Assign returns what an owner gets of the partitions, by their numbers, for stores that implement
// Queue.Acquire. Of what it has it keeps its fair share, and the rest ends; what is missing to the
// share it takes from the partitions whose leases are over. others are the other owners that count,
// each once.
func Assign(owner string, others []string, held []Holding, now time.Time) []Grant {
	share := fairShare(owner, others, len(held))
	var grants []Grant
	for i, h := range held {
		if h.Owner == owner && (share > 0 || h.Until.After(now)) {
			grants = append(grants, Grant{Partition: i, Ending: share <= 0})
			share--
		}
	}
	for i, h := range held {
		if share > 0 && h.Owner != owner && !h.Until.After(now) {
			grants = append(grants, Grant{Partition: i, Taken: true})
			share--
		}
	}
	slices.SortFunc(grants, func(a, b Grant) int { return a.Partition - b.Partition })
	return grants
}

// fairShare is how many partitions an owner is to have: those that cannot be divided go to the
// first owners by name.
func fairShare(owner string, others []string, partitions int) int {
	owners, before := len(others)+1, 0
	for _, name := range others {
		if name < owner {
			before++
		}
	}
	share := partitions / owners
	if before < partitions%owners {
		share++
	}
	return share
}
