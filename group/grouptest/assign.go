package grouptest

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/group"
)

func spreadPartitions(t *testing.T, k *kit) {
	a := k.join(t)
	first := k.assign(t, a, 7)
	before := k.shared(t, 7, a)[0]
	b := k.join(t)
	k.assign(t, b, 7)
	shares := k.shared(t, 7, a, b)
	for partition, epoch := range shares[0] {
		if before[partition] != epoch {
			t.Errorf("partition %d stays, and was stopped: epoch %d, then %d", partition, before[partition], epoch)
		}
	}
	if starts := k.ledger.starts(); starts != 7+3 {
		t.Errorf("%d Runs; want 7, and 3 that moved", starts)
	}
	owned := slices.Sorted(maps.Keys(shares[0]))
	if got := first.Owned(); !slices.Equal(got, owned) {
		t.Errorf("Owned: %v; want %v", got, owned)
	}
	plans, err := group.Plans(t.Context(), k.Store, name)
	if err != nil || len(plans) != 1 || plans[0].Topic != topic || plans[0].Of != 7 || plans[0].Epoch == 0 ||
		!slices.Equal(plans[0].Members, []string{a.id(), b.id()}) {
		t.Fatalf("plans: %+v, %v", plans, err)
	}
	for i, p := range plans[0].Partitions {
		want, epoch := a.id(), shares[0][i]
		if epoch == 0 {
			want, epoch = b.id(), shares[1][i]
		}
		if p.Number != i || p.Owner != want || p.Epoch != epoch || p.Since.IsZero() {
			t.Errorf("%+v; want owner %s, epoch %d", p, want, epoch)
		}
	}
}

func leavingOwner(t *testing.T, k *kit) {
	a, b, c := k.join(t), k.join(t), k.join(t)
	for _, p := range []*process{a, b, c} {
		k.assign(t, p, 6)
	}
	before := k.shared(t, 6, a, b, c)
	c.stop(t)
	after := k.shared(t, 6, a, b)
	for i := range after {
		for partition, epoch := range before[i] {
			if after[i][partition] != epoch {
				t.Errorf("partition %d moved though its owner stayed", partition)
			}
		}
	}
	b.stop(t)
	k.shared(t, 6, a)
}

func killedOwner(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	k.assign(t, a, 4)
	k.assign(t, b, 4)
	before := k.shared(t, 4, a, b)[0]
	b.kill()
	after := k.shared(t, 4, a)[0]
	for partition := range after {
		if epoch, ok := before[partition]; ok && epoch != after[partition] {
			t.Errorf("partition %d was stopped", partition)
		}
	}
}

func drainedOwner(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	first := k.assign(t, a, 4)
	k.assign(t, b, 4)
	k.shared(t, 4, a, b)
	if _, err := a.session.Assign(topic, 4, &group.AssignmentOptions{Run: func(context.Context, *group.Ownership) {}}); !errors.Is(err, group.ErrInvalid) {
		t.Errorf("assigned twice: %v; want ErrInvalid", err)
	}
	for range 2 {
		if err := first.Drain(t.Context()); err != nil || len(k.ledger.ownedBy(a)) > 0 || len(first.Owned()) > 0 {
			t.Errorf("drained: %v, owns %v", err, k.ledger.ownedBy(a))
		}
	}
	<-first.Done()
	k.shared(t, 4, b)
	k.assign(t, a, 4)
	k.shared(t, 4, a, b)
}

func namedOwner(t *testing.T, k *kit) {
	a, b := k.joinAs(t, "a"), k.joinAs(t, "b")
	k.assign(t, a, 4)
	k.assign(t, b, 4)
	before := k.shared(t, 4, a, b)
	b.stop(t)
	time.Sleep(k.ttl() / 2) // for what must not happen
	kept(t, "while the name is away", before[0], k.ledger.ownedBy(a))
	b = k.joinAs(t, "b")
	k.assign(t, b, 4)
	after := k.shared(t, 4, a, b)
	kept(t, "when the name is back", before[0], after[0])
	for partition := range before[1] {
		if after[1][partition] == 0 {
			t.Errorf("partition %d of the name is another's", partition)
		}
	}
}

func frozenOwner(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	k.assign(t, a, 4)
	k.assign(t, b, 4)
	k.shared(t, 4, a, b)
	b.link.set(frozen)
	eventually(t, "the other takes over", func() bool { return len(k.ledger.ownedBy(a)) == 4 })
	b.link.set(connected)
	k.shared(t, 4, a, b)
}

func cutOwner(t *testing.T, k *kit) {
	a := k.join(t)
	k.assign(t, a, 2)
	k.shared(t, 2, a)
	a.link.set(cut)
	eventually(t, "its partitions are lost", func() bool { return len(k.ledger.ownedBy(a)) == 0 })
	a.link.set(connected)
	k.shared(t, 2, a)
}

func racingPlanners(t *testing.T, k *kit) {
	const partitions = 12
	var all []*process
	for range 6 {
		all = append(all, k.join(t))
	}
	for _, p := range all {
		k.assign(t, p, partitions)
	}
	k.shared(t, partitions, all...)
	for _, p := range all[2:] {
		p.cancel()
	}
	for _, p := range all[2:] {
		p.stop(t)
	}
	k.shared(t, partitions, all[:2]...)
}

func ownersOfDeletedStore(t *testing.T, k *kit) {
	if k.Reset == nil {
		return
	}
	a, b := k.join(t), k.join(t)
	k.assign(t, a, 4)
	k.assign(t, b, 4)
	before := k.shared(t, 4, a, b)
	for range 3 {
		k.Reset(t)
		after := k.shared(t, 4, a, b)
		kept(t, "first owner", before[0], after[0])
		kept(t, "second owner", before[1], after[1])
	}
	time.Sleep(2 * k.ttl()) // for what must not happen
	kept(t, "first owner, later", before[0], k.ledger.ownedBy(a))
	kept(t, "second owner, later", before[1], k.ledger.ownedBy(b))
	if starts := k.ledger.starts(); starts > 8 {
		t.Errorf("%d Runs", starts)
	}
}

// joinerOfDeletedStore: an owner that does not notice that its store was deleted goes on, and
// nobody else takes what it has before it can have stopped.
func joinerOfDeletedStore(t *testing.T, k *kit) {
	if k.Reset == nil {
		return
	}
	a := k.join(t)
	k.assign(t, a, 2)
	k.shared(t, 2, a)
	a.link.set(frozen)
	k.Reset(t)
	k.list(t, group.MemberRows) // makes it again: a session has less patience than that may take
	k.list(t, group.PlanRows)
	k.mayHaveOwners = true
	b := k.join(t)
	k.assign(t, b, 2)
	k.shared(t, 2, b) // the ledger judges
	a.link.set(connected)
	k.shared(t, 2, a, b)
}

func failingOwner(t *testing.T, k *kit) {
	a := k.join(t)
	var runs int // of partition 0
	k.assignRun(t, a, 2, func(ctx context.Context, o *ownership) {
		if o.Partition() == 0 {
			runs++
			switch runs {
			case 1:
				return
			case 2:
				panic("a test")
			}
		}
		<-ctx.Done()
	})
	other := k.shared(t, 2, a)[0][1]
	eventually(t, "the partition is run again", func() bool { return k.ledger.starts() == 4 })
	if after := k.shared(t, 2, a)[0][1]; after != other {
		t.Error("the other partition was stopped")
	}
}

func otherLayout(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	k.assign(t, a, 2)
	k.shared(t, 2, a)
	second := k.assign(t, b, 3)
	eventually(t, "it says why it waits", func() bool { return errors.Is(second.Err(), group.ErrOtherLayout) })
	if len(k.ledger.ownedBy(b)) > 0 {
		t.Error("it does not wait")
	}
	a.stop(t)
	k.shared(t, 3, b)
	eventually(t, "it does not wait any more", func() bool { return second.Err() == nil })
}

// stubbornOwner: a session that ends stays a member for a while for a Run that does not return.
func stubbornOwner(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	returns := make(chan struct{})
	causes := make(chan error, 2)
	k.assignRun(t, a, 1, func(ctx context.Context, _ *ownership) {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		<-returns
	})
	k.shared(t, 1, a)
	k.assign(t, b, 1)
	a.cancel()
	if cause := <-causes; !errors.Is(cause, group.ErrRevoked) {
		t.Errorf("%v; want ErrRevoked", cause)
	}
	k.shared(t, 1, b) // when it is certain that the other has lost it; the ledger judges
	close(returns)
	a.stop(t)
}

// randomOwners: processes come, go, freeze and are cut off; the ledger judges.
func randomOwners(t *testing.T, k *kit) {
	const partitions = 6
	random := rand.New(rand.NewPCG(3, 4))
	live := []*process{}
	add := func() {
		p := k.joinAs(t, []string{"", "x", "y"}[random.IntN(3)])
		k.assign(t, p, partitions)
		live = append(live, p)
	}
	add()
	for range k.cycles / 20 {
		i := random.IntN(len(live))
		switch what := random.IntN(7); {
		case what < 2 && len(live) < 4:
			add()
		case what == 2 && len(live) > 1:
			live[i].stop(t)
			live = slices.Delete(live, i, i+1)
		case what == 3 && len(live) > 1:
			live[i].kill()
			live = slices.Delete(live, i, i+1)
		case what >= 4:
			live[i].link.set([]mode{connected, cut, frozen}[what-4])
		}
		time.Sleep(time.Duration(random.Int64N(int64(k.ttl() / 2))))
		for _, p := range live {
			if random.IntN(3) == 0 {
				p.link.set(connected)
			}
		}
	}
	for _, p := range live {
		p.link.set(connected)
	}
	k.shared(t, partitions, live...)
}
