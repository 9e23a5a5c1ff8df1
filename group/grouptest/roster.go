package grouptest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/group"
)

func killedProcess(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	if ids := k.members(t); len(ids) != 2 || !slices.Contains(ids, a.id()) || !slices.Contains(ids, b.id()) {
		t.Fatalf("members %q", ids)
	}
	b.kill()
	time.Sleep(k.ttl()) // b's row was renewed before
	if ids := k.members(t); !slices.Equal(ids, []string{a.id()}) {
		t.Errorf("members %q; want %q alone", ids, a.id())
	}
}

func drainedProcess(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	b.session.Drain()
	eventually(t, "the member is shown as draining", func() bool {
		members, err := group.Members(t.Context(), k.Store, name)
		return err == nil && slices.ContainsFunc(members, func(m group.Member) bool { return m.ID == b.id() && m.State == group.Draining })
	})
	b.stop(t)
	if ids := k.members(t); !slices.Equal(ids, []string{a.id()}) {
		t.Errorf("members %q; want %q alone", ids, a.id())
	}
}

func frozenProcess(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	lease, err := b.session.Acquire(t.Context(), "probe")
	if err != nil {
		t.Fatal(err)
	}
	b.link.set(frozen)
	time.Sleep(k.ttl() + k.ttl()/6)
	if ids := k.members(t); !slices.Equal(ids, []string{a.id()}) {
		t.Errorf("members %q; want %q alone", ids, a.id())
	}
	k.pause(t, "", a)
	before := b.started()
	b.link.set(connected)
	eventually(t, "the member is back", func() bool { return slices.Contains(k.members(t), b.id()) })
	select {
	case <-lease.Done():
	default:
		t.Error("back, and the lease is held")
	}
	eventually(t, "the pause is applied", func() bool { return len(b.session.Status().Paused) == 1 })
	b.stands(t)
	if n := b.started() - before; n > 0 {
		t.Errorf("%d runs started after a freeze, while paused", n)
	}
	if ids := k.members(t); len(ids) != 2 {
		t.Errorf("members %q; want each once", ids)
	}
	k.resume(t, "", a, b)
	b.progresses(t)
}

// momentarilyFrozen: a short freeze drops no lease and no member.
func momentarilyFrozen(t *testing.T, k *kit) {
	a := k.join(t)
	lease, err := a.session.Acquire(t.Context(), "probe")
	if err != nil {
		t.Fatal(err)
	}
	a.link.set(frozen)
	time.Sleep(k.ttl() / 6)
	a.link.set(connected)
	a.progresses(t)
	if ids := k.members(t); len(ids) != 1 || lease.Err() != nil {
		t.Errorf("members %q, lease %v", ids, lease.Err())
	}
}

// frozenAnytime: wherever a freeze meets a process, in the middle of a refresh say, it starts
// nothing that was paused meanwhile.
func frozenAnytime(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	for range k.cycles / 100 {
		k.put(t, group.PauseRows, "topic:other", `{"v":1,"paused":false}`, group.AnyRevision) // they refresh
		time.Sleep(time.Duration(rand.Int64N(int64(4*k.latency) + 1)))
		b.link.set(frozen)
		eventually(t, "the frozen member is gone", func() bool { return len(k.members(t)) == 1 })
		k.pause(t, "", a)
		before := b.started()
		b.link.set(connected)
		eventually(t, "the pause is applied", func() bool { return len(b.session.Status().Paused) == 1 })
		b.stands(t)
		if n := b.started() - before; n > 0 {
			t.Fatalf("%d runs started after a freeze, while paused", n)
		}
		k.resume(t, "", a, b)
		b.progresses(t)
	}
}
