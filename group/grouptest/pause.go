package grouptest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/group"
)

// pause pauses a scope, and wants it confirmed by these processes.
func (k *kit) pause(t *testing.T, scope string, by ...*process) group.Result {
	t.Helper()
	r, err := group.Pause(t.Context(), k.Store, name, group.Request{Topic: scope, Reason: "a test", By: "grouptest"})
	k.confirmed(t, r, err, by)
	return r
}

func (k *kit) resume(t *testing.T, scope string, by ...*process) {
	t.Helper()
	r, err := group.Resume(t.Context(), k.Store, name, group.Request{Topic: scope})
	k.confirmed(t, r, err, by)
}

func (k *kit) confirmed(t *testing.T, r group.Result, err error, by []*process) {
	t.Helper()
	if err != nil || len(r.Confirmed) != len(by) || len(r.Missing) > 0 {
		t.Fatalf("%v: confirmed by %d of %d, %+v", err, len(r.Confirmed), len(by), r)
	}
	for _, p := range by {
		if !contains(r.Confirmed, p) {
			t.Fatalf("not confirmed by %s: %+v", p.id(), r)
		}
	}
}

func contains(members []group.Member, p *process) bool {
	return slices.ContainsFunc(members, func(m group.Member) bool { return m.ID == p.id() })
}

func confirmedPause(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	a.progresses(t)
	r := k.pause(t, topic, a, b)
	a.stands(t)
	b.stands(t)
	pauses, err := group.Pauses(t.Context(), k.Store, name)
	if err != nil || len(pauses) != 1 {
		t.Fatal(pauses, err)
	}
	if p := pauses[0]; p.Topic != topic || p.Reason != "a test" || p.By != "grouptest" || p.Revision != r.Revision || p.Since.IsZero() || !p.Until.IsZero() {
		t.Errorf("%+v", p)
	}
	k.resume(t, topic, a, b)
	a.progresses(t)
	b.progresses(t)
	if pauses, err := group.Pauses(t.Context(), k.Store, name); err != nil || len(pauses) != 0 {
		t.Errorf("paused after a resume: %v, %v", pauses, err)
	}
}

// short is a context that ends before rows expire.
func (k *kit) short(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), k.ttl()/4)
	t.Cleanup(cancel)
	return ctx
}

func missingMember(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	release := b.hold()
	defer release()
	r, err := group.Pause(k.short(t), k.Store, name, group.Request{})
	if !errors.Is(err, group.ErrUnconfirmed) || len(r.Confirmed) != 1 || len(r.Missing) != 1 || !contains(r.Confirmed, a) || !contains(r.Missing, b) {
		t.Fatalf("%v: %+v; want one missing", err, r)
	}
	release()
	k.pause(t, "", a, b)
	b.stands(t)
}

func goneMember(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	b.kill()
	r, err := group.Pause(t.Context(), k.Store, name, group.Request{})
	if err != nil || len(r.Confirmed) != 1 || len(r.Gone) != 1 || !contains(r.Confirmed, a) || !contains(r.Gone, b) {
		t.Fatalf("%v: %+v; want one gone", err, r)
	}
}

func startPaused(t *testing.T, k *kit) {
	a := k.join(t)
	k.pause(t, "", a)
	b := k.join(t)
	time.Sleep(20 * time.Millisecond) // for what must not happen
	if n := b.started(); n > 0 {
		t.Errorf("%d runs started in a process that started while paused", n)
	}
	k.resume(t, "", a, b)
	b.progresses(t)
}

func independentScopes(t *testing.T, k *kit) {
	a := k.join(t)
	k.pause(t, "", a)
	k.pause(t, topic, a)
	k.pause(t, group.Outbox, a)
	k.resume(t, "", a)
	a.stands(t)
	k.pause(t, "", a)
	k.resume(t, topic, a)
	a.stands(t)
	k.resume(t, "", a)
	a.progresses(t)
	if paused := a.session.Status().Paused; len(paused) != 1 || paused[0].Topic != group.Outbox {
		t.Errorf("%+v; want the outbox paused", paused)
	}
}

func endingPause(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	r, err := group.Pause(t.Context(), k.Store, name, group.Request{For: group.MinPause})
	k.confirmed(t, r, err, []*process{a, b})
	b.link.set(cut)
	a.stands(t)
	b.stands(t)
	a.progresses(t)
	b.progresses(t) // and a process that is cut off
	if l := k.list(t, group.PauseRows); r.Until.IsZero() || l.Now.Before(r.Until.Add(-100*time.Millisecond)) {
		t.Errorf("ended %v before its end", r.Until.Sub(l.Now))
	}
	if pauses, err := group.Pauses(t.Context(), k.Store, name); err != nil || len(pauses) > 1 {
		t.Errorf("%v, %v", pauses, err)
	}
}

func cutWhilePaused(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	b.link.set(cut)
	r, err := group.Pause(k.short(t), k.Store, name, group.Request{})
	if !errors.Is(err, group.ErrUnconfirmed) || !contains(r.Missing, b) || !contains(r.Confirmed, a) {
		t.Fatalf("%v: %+v", err, r)
	}
	b.progresses(t) // with what it knew last
	eventually(t, "it reports that it is cut off", func() bool { return b.session.Healthy() != nil })
	eventually(t, "its row expires", func() bool { return len(k.members(t)) == 1 })
	b.progresses(t)
	b.link.set(connected)
	eventually(t, "the pause is met", func() bool { return len(b.session.Status().Paused) == 1 })
	b.stands(t)
	if err := b.session.Healthy(); err != nil || len(k.members(t)) != 2 {
		t.Errorf("connected again: %v", err)
	}
}

func cutWhileResumed(t *testing.T, k *kit) {
	a, b := k.join(t), k.join(t)
	k.pause(t, "", a, b)
	b.link.set(cut)
	if r, err := group.Resume(k.short(t), k.Store, name, group.Request{}); !errors.Is(err, group.ErrUnconfirmed) || !contains(r.Missing, b) {
		t.Fatalf("%v: %+v", err, r)
	}
	a.progresses(t)
	b.stands(t)
	b.link.set(connected)
	b.progresses(t)
}

func superseded(t *testing.T, k *kit) {
	a := k.join(t)
	release := a.hold()
	defer release()
	first := make(chan error, 1)
	go func() {
		_, err := group.Pause(t.Context(), k.Store, name, group.Request{By: "first"})
		first <- err
	}()
	eventually(t, "the pause is being applied", a.appliesHeld) // a resume that comes sooner leaves nothing to apply
	if _, err := group.Resume(k.short(t), k.Store, name, group.Request{By: "second"}); !errors.Is(err, group.ErrUnconfirmed) {
		t.Errorf("the later one: %v; want ErrUnconfirmed", err)
	}
	if err := <-first; !errors.Is(err, group.ErrSuperseded) {
		t.Errorf("the earlier one: %v; want ErrSuperseded", err)
	}
	release()
	k.resume(t, "", a)
	a.progresses(t)
}

func unreadableRow(t *testing.T, k *kit) {
	a := k.join(t)
	k.pause(t, "", a)
	k.resume(t, topic, a)
	for _, key := range []string{"group", "topic:" + topic, "topic:new"} {
		k.put(t, group.PauseRows, key, `{"v":1`, group.AnyRevision)
	}
	eventually(t, "the rows are read", func() bool {
		paused := a.session.Status().Paused
		return len(paused) == 2 && paused[0].Unreadable && paused[1].Unreadable
	})
	paused := a.session.Status().Paused
	if paused[0].Topic != "" || paused[0].By != "grouptest" || paused[1].Topic != "new" {
		t.Errorf("%+v; want what was read last, and what was never read", paused)
	}
	k.resume(t, "", a)
	a.progresses(t)
	b := k.join(t)
	b.stands(t) // it never read what holds for the topic
	k.resume(t, topic, a, b)
	b.progresses(t)
}

func deletedStore(t *testing.T, k *kit) {
	if k.Reset == nil {
		return
	}
	a, b := k.join(t), k.join(t)
	for range 20 {
		k.put(t, group.PauseRows, "topic:other", `{"v":1,"paused":false}`, group.AnyRevision)
	}
	k.pause(t, "", a, b)
	k.Reset(t)
	a.progresses(t) // what was paused is not known any more
	b.progresses(t)
	eventually(t, "both have joined again", func() bool { return len(k.members(t)) == 2 })
	k.pause(t, "", a, b) // its revision is lower than what was applied before
	a.stands(t)
	b.stands(t)
	k.resume(t, "", a, b)
	a.progresses(t)
}

func restartedStore(t *testing.T, k *kit) {
	if k.Restart == nil {
		return
	}
	a, b := k.join(t), k.join(t)
	k.pause(t, "", a, b)
	k.Restart(t)
	a.stands(t)
	eventually(t, "both are members", func() bool {
		members, err := group.Members(t.Context(), k.Store, name)
		return err == nil && len(members) == 2 && a.session.Healthy() == nil && b.session.Healthy() == nil
	})
	a.stands(t)
	b.stands(t)
	k.resume(t, "", a, b)
	a.progresses(t)
	b.progresses(t)
}

// randomCycles: three processes start runs all the time; after each pause none does, until it
// is resumed.
func randomCycles(t *testing.T, k *kit) {
	random := rand.New(rand.NewPCG(1, 2))
	all := []*process{k.join(t), k.join(t), k.join(t)}
	for range k.cycles {
		scope := []string{"", topic}[random.IntN(2)]
		k.pause(t, scope, all...)
		var before []int
		for _, p := range all {
			before = append(before, p.started())
		}
		time.Sleep(time.Duration(random.IntN(4)) * time.Millisecond) // for what must not happen
		for i, p := range all {
			if n := p.started() - before[i]; n > 0 {
				t.Fatalf("%d runs started while paused", n)
			}
		}
		k.resume(t, scope, all...)
		all[random.IntN(len(all))].progresses(t)
	}
}
