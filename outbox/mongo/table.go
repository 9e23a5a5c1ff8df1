package mongo

import (
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/outbox"
)

// tableID is the _id of the one document that has all leases. Who changes them changes it as it was
// read, or not at all.
const tableID = "leases"

// table is who has what, until when.
type table struct {
	Outbox     string    `bson:"outbox"` // tells this outbox from all others, however it is reached
	Version    int64     `bson:"version"`
	Owners     []owner   `bson:"owners"` // those that asked within their last lease, and some that have not since
	Partitions []holding `bson:"partitions"`
	Now        time.Time `bson:"now,omitempty"` // when it was read; never written
}

type owner struct {
	Name  string    `bson:"name"`
	Until time.Time `bson:"until"`
}

// holding is the lease of one partition: of who had it last, while nobody else has taken it.
type holding struct {
	Owner string    `bson:"owner"`
	Token int64     `bson:"token"`
	Until time.Time `bson:"until"`
}

// grant is what an owner gets.
type grant struct {
	owner  string
	owners []owner // the others that count
	held   []held
}

// held is a partition that the owner has, or gets. An ending one is not renewed.
type held struct {
	partition     int
	taken, ending bool
}

// divide says what the owner gets: of what it has its share, of what is free what is missing to
// that. The rest of what it has ends.
func (t *table) divide(name string) *grant {
	g := &grant{owner: name}
	for _, o := range t.Owners {
		if o.Name != name && o.Until.After(t.Now) {
			g.owners = append(g.owners, o)
		}
	}
	share := t.share(g)
	for i, h := range t.Partitions {
		if h.Owner == name && (share > 0 || h.Until.After(t.Now)) {
			g.held = append(g.held, held{partition: i, ending: share <= 0})
			share--
		}
	}
	for i, h := range t.Partitions {
		if share > 0 && h.Owner != name && !h.Until.After(t.Now) {
			g.held = append(g.held, held{partition: i, taken: true})
			share--
		}
	}
	return g
}

// share is how many partitions the owner is to have.
func (t *table) share(g *grant) int {
	before := 0
	for _, o := range g.owners {
		if o.Name < g.owner {
			before++
		}
	}
	n, owners := len(t.Partitions), len(g.owners)+1
	share := n / owners
	if before < n%owners {
		share++
	}
	return share
}

// update gives it, by the server's clock.
func (g *grant) update(t *table, lease time.Duration) bson.A {
	owners := bson.A{bson.D{field("name", literal(g.owner)), field("until", nowPlus(lease))}}
	for _, o := range g.owners {
		owners = append(owners, literal(o))
	}
	partitions := make(bson.A, len(t.Partitions))
	for i, h := range t.Partitions {
		partitions[i] = literal(h)
	}
	for _, h := range g.held {
		if h.ending {
			continue
		}
		token := t.Partitions[h.partition].Token
		if h.taken {
			token++
		}
		partitions[h.partition] = bson.D{field("owner", literal(g.owner)), field("token", token), field("until", nowPlus(lease))}
	}
	return bson.A{op("$set", bson.D{field("version", t.Version+1), field("owners", owners), field("partitions", partitions)})}
}

// leases tells what was given. What is left of a lease counts from when the table was read, which
// is after it was asked for.
func (g *grant) leases(after *table, read time.Time, lease time.Duration) []outbox.Lease {
	slices.SortFunc(g.held, func(a, b held) int { return a.partition - b.partition })
	leases := make([]outbox.Lease, 0, len(g.held))
	for _, h := range g.held {
		p := after.Partitions[h.partition]
		l := outbox.Lease{Partition: h.partition, Token: uint64(max(0, p.Token)), Until: p.Until, Left: lease, Ending: h.ending}
		l.First, l.Last = outbox.Partition(h.partition, len(after.Partitions))
		if h.ending {
			l.Left = max(0, p.Until.Sub(read))
		}
		leases = append(leases, l)
	}
	return leases
}

// release frees what the owner has under those leases, and forgets the owner if it has nothing
// left. It reports whether that changes anything.
func (t *table) release(name string, leases []outbox.Lease) (changed bool) {
	for _, l := range leases {
		if l.Partition < 0 || l.Partition >= len(t.Partitions) {
			continue
		}
		if p := &t.Partitions[l.Partition]; p.Owner == name && uint64(max(0, p.Token)) == l.Token && p.Until.Equal(l.Until) {
			p.Owner, p.Until = "", time.UnixMilli(0)
			changed = true
		}
	}
	if slices.ContainsFunc(t.Partitions, func(h holding) bool { return h.Owner == name }) {
		return changed
	}
	n := len(t.Owners)
	t.Owners = slices.DeleteFunc(t.Owners, func(o owner) bool { return o.Name == name })
	return changed || len(t.Owners) != n
}
