package mongo

import (
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/outbox"
)

// tableID is the _id of the one document that has all leases. Who changes them changes it as it was
// read, or not at all.
const tableID = "leases"

// leaseTable is who has what, until when.
type leaseTable struct {
	Outbox     string             `bson:"outbox"` // tells this outbox from all others, however it is reached
	Version    int64              `bson:"version"`
	Owners     []leaseOwner       `bson:"owners"` // those that asked within their last lease, and some that have not since
	Partitions []partitionHolding `bson:"partitions"`
	Now        time.Time          `bson:"now,omitempty"` // when it was read; never written
}

type leaseOwner struct {
	Name  string    `bson:"name"`
	Until time.Time `bson:"until"`
}

// partitionHolding is the lease of one partition: of who had it last, while nobody else
// has taken it.
type partitionHolding struct {
	Owner string    `bson:"owner"`
	Token int64     `bson:"token"`
	Until time.Time `bson:"until"`
}

// contract is the holding as package outbox has it.
func (h *partitionHolding) contract() outbox.Holding {
	return outbox.Holding{Owner: h.Owner, Token: uint64(max(0, h.Token)), Until: h.Until}
}

// leaseAssignment is what an owner gets.
type leaseAssignment struct {
	owner  string
	others []leaseOwner // that count
	grants []outbox.Grant
}

func (t *leaseTable) assignTo(name string) *leaseAssignment {
	a := &leaseAssignment{owner: name}
	var others []string
	for _, o := range t.Owners {
		if o.Name != name && o.Until.After(t.Now) {
			a.others, others = append(a.others, o), append(others, o.Name)
		}
	}
	held := make([]outbox.Holding, len(t.Partitions))
	for i := range t.Partitions {
		held[i] = t.Partitions[i].contract()
	}
	a.grants = outbox.Assign(name, others, held, t.Now)
	return a
}

// toUpdate writes the assignment, by the server's clock.
func (a *leaseAssignment) toUpdate(t *leaseTable, lease time.Duration) bson.A {
	owners := bson.A{bson.D{expr.Field("name", expr.Literal(a.owner)), expr.Field("until", expr.NowPlus(lease))}}
	for _, o := range a.others {
		owners = append(owners, expr.Literal(o))
	}
	partitions := make(bson.A, len(t.Partitions))
	for i, h := range t.Partitions {
		partitions[i] = expr.Literal(h)
	}
	for _, g := range a.grants {
		if g.Ending {
			continue
		}
		token := t.Partitions[g.Partition].Token
		if g.Taken {
			token++
		}
		partitions[g.Partition] = bson.D{expr.Field("owner", expr.Literal(a.owner)), expr.Field("token", token), expr.Field("until", expr.NowPlus(lease))}
	}
	return bson.A{expr.Op("$set", bson.D{expr.Field("version", t.Version+1), expr.Field("owners", owners), expr.Field("partitions", partitions)})}
}

// grantedLeases returns what was given. What is left of a lease counts from when the table was
// read, which is after it was asked for.
func (a *leaseAssignment) grantedLeases(after *leaseTable, read time.Time, lease time.Duration) []outbox.Lease {
	leases := make([]outbox.Lease, 0, len(a.grants))
	for _, g := range a.grants {
		h := after.Partitions[g.Partition].contract()
		l := outbox.Lease{Partition: g.Partition, Token: h.Token, Until: h.Until, Left: lease, Ending: g.Ending}
		l.First, l.Last = outbox.Partition(g.Partition, len(after.Partitions))
		if g.Ending {
			l.Left = max(0, h.Until.Sub(read))
		}
		leases = append(leases, l)
	}
	return leases
}

// releaseHeld frees what the owner has under those leases, and forgets the owner if it has nothing
// left. It reports whether that changes anything.
func (t *leaseTable) releaseHeld(name string, leases []outbox.Lease) (changed bool) {
	for _, l := range leases {
		if l.Partition < 0 || l.Partition >= len(t.Partitions) {
			continue
		}
		p := &t.Partitions[l.Partition]
		if h := p.contract(); h.Under(name, l) {
			p.Owner, p.Until = "", time.UnixMilli(0)
			changed = true
		}
	}
	if slices.ContainsFunc(t.Partitions, func(h partitionHolding) bool { return h.Owner == name }) {
		return changed
	}
	n := len(t.Owners)
	t.Owners = slices.DeleteFunc(t.Owners, func(o leaseOwner) bool { return o.Name == name })
	return changed || len(t.Owners) != n
}
