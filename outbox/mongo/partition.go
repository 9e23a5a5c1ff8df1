package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/outbox"
)

// tableID is the _id of the one document that has all leases. Who changes them changes it as it was read, or not at all.
const tableID = "leases"

// table is who has what, until when.
type table struct {
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

// preparePartitions makes the table unless it is there. most: what their number is to be; 0: any.
func (q *Queue) preparePartitions(ctx context.Context, number int) error {
	t := table{Owners: []owner{}, Partitions: make([]holding, number)}
	if number == 0 {
		t.Partitions = make([]holding, outbox.DefaultPartitions)
	}
	for i := range t.Partitions {
		t.Partitions[i].Until = time.UnixMilli(0)
	}
	doc := bson.D{field("_id", tableID), field("version", t.Version), field("owners", t.Owners), field("partitions", t.Partitions)}
	_, _, err := mongoserver.Write(ctx, q.parts, []driver.WriteModel{driver.NewInsertOneModel().SetDocument(doc)}, false)
	if err != nil {
		return err
	}
	there, err := q.table(ctx)
	if err == nil && number != 0 && number != len(there.Partitions) {
		err = fmt.Errorf("%w: it was made with %d partitions, and Options.Partitions is %d: set it to that, or to zero", ErrCollection, len(there.Partitions), number)
	}
	return err
}

// table reads the leases.
func (q *Queue) table(ctx context.Context) (*table, error) {
	cur, err := q.parts.Aggregate(ctx, bson.A{op("$match", op("_id", tableID)), op("$addFields", op("now", now))})
	if err != nil {
		return nil, err
	}
	var ts []table
	if err := cur.All(ctx, &ts); err != nil {
		return nil, err
	}
	if len(ts) == 0 || len(ts[0].Partitions) == 0 {
		return nil, fmt.Errorf("the leases are gone from %s, or not to be seen yet", q.parts.Name())
	}
	return &ts[0], nil
}

// Acquire implements outbox.Queue. It costs two round trips, and two more whenever another owner came in between.
func (q *Queue) Acquire(ctx context.Context, name string, lease time.Duration) ([]outbox.Lease, error) {
	if name == "" || lease <= 0 {
		return nil, fmt.Errorf("outbox/mongo: acquire for owner %q, lease %v: name an owner, and a lease above 0", name, lease)
	}
	ctx, cancel := q.call(ctx)
	defer cancel()
	var leases []outbox.Lease
	err := q.change(ctx, func(t *table) (bson.A, func(*table)) {
		g := t.divide(name)
		return g.update(t, lease), func(after *table) { leases = g.leases(after, t.Now, lease) }
	})
	if err != nil {
		return nil, q.failed("acquire", err)
	}
	return leases, nil
}

// errMissed: another has changed the table in between.
var errMissed = errors.New("others change the leases all the time; ask again")

// change changes the table, as often as others come in between. plan says how, nil: not at all; and what to do with the table afterwards.
func (q *Queue) change(ctx context.Context, plan func(*table) (bson.A, func(*table))) error {
	for try := 0; ; try++ {
		t, err := q.table(ctx)
		if err != nil {
			return err
		}
		update, then := plan(t)
		if update == nil {
			return nil
		}
		var after table
		err = q.parts.FindOneAndUpdate(ctx, bson.D{field("_id", tableID), field("version", t.Version)}, update,
			options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&after)
		if err == nil {
			then(&after)
			return nil
		}
		if !errors.Is(err, driver.ErrNoDocuments) {
			return err
		}
		if err := mongoserver.Pause(ctx, rand.IntN(min(try+2, 6))); err != nil { //nolint:gosec // those that collide are not to do so again
			return errors.Join(errMissed, err)
		}
	}
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

// divide says what the owner gets: of what it has its share, of what is free what is missing to that. The rest of what it has ends.
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
		if strings.Compare(o.Name, g.owner) < 0 {
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

// leases tells what was given. What is left of a lease counts from when the table was read, which is after it was asked for.
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

// Release implements outbox.Queue. It costs two round trips at most, and two more whenever another owner came in between.
func (q *Queue) Release(ctx context.Context, name string, leases []outbox.Lease) error {
	ctx, cancel := q.call(ctx)
	defer cancel()
	err := q.change(ctx, func(t *table) (bson.A, func(*table)) {
		if !t.release(name, leases) {
			return nil, nil
		}
		return bson.A{op("$set", bson.D{
			field("version", t.Version+1), field("owners", literal(t.Owners)), field("partitions", literal(t.Partitions)),
		})}, func(*table) {}
	})
	if err != nil {
		return q.failed("release", err)
	}
	return nil
}

// release frees what the owner has under those leases, and forgets the owner if it has nothing left. It tells whether that changes anything.
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
