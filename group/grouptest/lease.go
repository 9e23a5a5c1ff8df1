package grouptest

import (
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/group"
)

func acquire(t *testing.T, p *process) *group.Lease {
	t.Helper()
	l, err := p.session.Acquire(t.Context(), "probe")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func isHeld(t *testing.T, p *process) {
	t.Helper()
	if _, err := p.session.Acquire(t.Context(), "probe"); !errors.Is(err, group.ErrHeld) {
		t.Errorf("a lease that is held was acquired: %v", err)
	}
}

// ended wants a lease to have ended, for a reason.
func ended(t *testing.T, l *group.Lease, why error) {
	t.Helper()
	select {
	case <-l.Done():
	default:
		t.Error("the lease has not ended")
	}
	if !errors.Is(l.Err(), why) {
		t.Errorf("the lease: %v; want %v", l.Err(), why)
	}
}

func leaseHolder(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	first := acquire(t, a)
	isHeld(t, a)
	isHeld(t, b)
	other, err := b.session.Acquire(t.Context(), "another")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * k.ttl()) // it is renewed
	isHeld(t, b)
	if first.Err() != nil || other.Err() != nil {
		t.Fatalf("not renewed: %v, %v", first.Err(), other.Err())
	}
	for range 2 { // a lease that is released is released
		if err := first.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	ended(t, first, group.ErrReleased)
	second := acquire(t, b)
	isHeld(t, a)
	b.stop(t)
	ended(t, second, group.ErrReleased)
	third := acquire(t, a) // at once
	if first.Token() >= second.Token() || second.Token() >= third.Token() {
		t.Errorf("tokens %d, %d, %d; want them to grow", first.Token(), second.Token(), third.Token())
	}
}

func lostLease(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	first := acquire(t, a)
	a.link.set(cut)
	var second *group.Lease
	eventually(t, "the lease runs out", func() (acquired bool) {
		var err error
		second, err = b.session.Acquire(t.Context(), "probe")
		return err == nil
	})
	ended(t, first, group.ErrLost)
	if first.Token() >= second.Token() {
		t.Errorf("tokens %d, %d; want them to grow", first.Token(), second.Token())
	}
	a.link.set(connected)
	eventually(t, "the process is back", func() bool { return a.session.Healthy() == nil })
	isHeld(t, a)
	if second.Err() != nil {
		t.Errorf("taken from its holder: %v", second.Err())
	}
}

// stuckHolder: a session that hangs in Apply renews nothing, and notices that.
func stuckHolder(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	first := acquire(t, a)
	release := a.hold()
	defer release()
	if _, err := group.Pause(k.short(t), k.Store, name, group.Request{}); !errors.Is(err, group.ErrUnconfirmed) {
		t.Fatal(err)
	}
	eventually(t, "the lease runs out", func() bool {
		_, err := b.session.Acquire(t.Context(), "probe")
		return err == nil
	})
	ended(t, first, group.ErrLost)
}
