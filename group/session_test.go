package group_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/group"
)

// pauseMeets pauses the group after a session has read its pauses, and before it knows them.
func pauseMeets(t *testing.T, h *hooked) (outcome <-chan error) {
	t.Helper()
	c := make(chan error, 1)
	pause := func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := group.Pause(ctx, h.store, "g", group.Request{})
		c <- err
	}
	h.afterList.Store(&pause)
	return c
}

// A process that reads the pauses right before another is stored is waited for: its row is
// there first.
func TestAPauseMeetsAProcessThatIsJoining(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		outcome := pauseMeets(t, h)
		s, leave := join(t, h, group.Options{})
		defer leave()
		if err := <-outcome; !errors.Is(err, group.ErrUnconfirmed) {
			t.Errorf("%v; want the joining member to be missing", err)
		}
		synctest.Wait()
		if paused := s.Status().Paused; len(paused) != 1 {
			t.Errorf("paused: %v", paused)
		}
	})
}

// The same goes for a process whose row has expired while it was cut off.
func TestAPauseMeetsAProcessThatIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		s, leave := join(t, h, group.Options{})
		defer leave()
		h.down.Store(true)
		time.Sleep(2 * h.TTL())
		if members, err := group.Members(t.Context(), h.store, "g"); err != nil || len(members) > 0 || s.Healthy() == nil {
			t.Errorf("cut off: members %v (%v), healthy", members, err)
		}
		outcome := pauseMeets(t, h)
		h.down.Store(false)
		if err := <-outcome; !errors.Is(err, group.ErrUnconfirmed) {
			t.Errorf("%v; want the member that is back to be missing", err)
		}
	})
}

// Between Join and Run a process shows what it has begun, and learns of pauses, by Refresh.
func TestRefreshBeforeRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		var subscriptions []group.Subscription
		var applied []group.Paused
		s, err := group.Join(t.Context(), h, "g", &group.Options{
			Describe: func() []group.Subscription { return subscriptions },
			Apply:    func(paused []group.Paused) { applied = paused },
			Logger:   slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		subscriptions = []group.Subscription{{Topic: "t"}}
		if _, err := h.store.Put(t.Context(), group.PauseRows, "g", "group", []byte(`{"v":1,"paused":true}`), group.AnyRevision); err != nil {
			t.Fatal(err)
		}
		if err := s.Refresh(t.Context()); err != nil || len(applied) != 1 {
			t.Errorf("Refresh: %v, with pauses %v; want that of the group", err, applied)
		}
		members, err := group.Members(t.Context(), h.store, "g")
		if err != nil || len(members) != 1 || members[0].State != group.Running || len(members[0].Subscriptions) != 1 {
			t.Errorf("members: %+v, %v; want one with a subscription", members, err)
		}
		h.down.Store(true)
		if err := s.Refresh(t.Context()); err == nil || s.Healthy() == nil {
			t.Errorf("Refresh without the store: %v, and healthy: %v", err, s.Healthy())
		}
		h.down.Store(false)
		ended, end := context.WithCancel(t.Context())
		end()
		if err := s.Run(ended); err != nil {
			t.Error(err)
		}
	})
}

// A process that was cut off for longer than its row lives goes on, and when it is back starts
// nothing before it has read the pauses. One whose store alone is down goes on all the time.
func TestAProcessThatIsBackStartsNothingBeforeItHasReadThePauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		var applied atomic.Int64
		s, leave := join(t, h, group.Options{Apply: func([]group.Paused) { applied.Add(1) }})
		defer leave()
		enters := func(when string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), h.TTL())
			defer cancel()
			if _, err := s.Enter(ctx); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		for range 20 {
			h.cut.Store(true)
			for range 10 {
				time.Sleep(h.TTL() / 5)
				enters("cut off")
			}
			before := applied.Load()
			if _, err := h.store.Put(t.Context(), group.PauseRows, "g", "group", []byte(`{"v":1,"paused":true}`), group.AnyRevision); err != nil {
				t.Fatal(err)
			}
			if applied.Load() != before {
				t.Error("it is not cut off")
			}
			h.cut.Store(false)
			enters("back")
			if applied.Load() == before {
				t.Error("it enters before it has read the pauses")
			}
		}
		h.down.Store(true)
		for range 10 {
			time.Sleep(h.TTL() / 5)
			enters("without its store")
		}
		h.down.Store(false)
	})
}

// A machine that was suspended may show in its wall clock alone: that is all this one has.
func TestASuspendedMachineStartsNothingBeforeItHasReadThePauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		var suspended time.Duration // wall time that is not in the monotonic clock
		began := time.Now()
		applied := 0
		s, err := group.Join(t.Context(), h, "g", &group.Options{
			Logger: slog.New(slog.DiscardHandler), Apply: func([]group.Paused) { applied++ },
			Now: func() time.Time { return began.Round(0).Add(time.Since(began) + suspended) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Enter(t.Context()); err != nil {
			t.Error(err)
		}
		_, err = h.store.Put(t.Context(), group.PauseRows, "g", "group", []byte(`{"v":1,"paused":true}`), group.AnyRevision)
		if err != nil {
			t.Fatal(err)
		}
		suspended = time.Hour
		entered := make(chan error, 1)
		go func() {
			_, err := s.Enter(t.Context())
			entered <- err
		}()
		synctest.Wait()
		if len(entered) > 0 {
			t.Error("it enters before it has read the pauses")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		if err := <-entered; err != nil || applied != 1 {
			t.Errorf("entered: %v, after %d pauses were applied; want 1", err, applied)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestNothingStartsInASessionThatHasLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, leave := join(t, newHooked(t), group.Options{})
		leave()
		if _, err := s.Enter(t.Context()); !errors.Is(err, group.ErrLeft) {
			t.Errorf("Enter: %v; want ErrLeft", err)
		}
		if _, err := s.Acquire(t.Context(), "x"); !errors.Is(err, group.ErrLeft) {
			t.Errorf("Acquire: %v; want ErrLeft", err)
		}
	})
}

// A pause ends at its time, not at the next heartbeat, also while the store is down.
func TestAPauseEndsAtItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		s, leave := join(t, h, group.Options{})
		defer leave()
		r, err := group.Pause(t.Context(), h, "g", group.Request{For: 1500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		h.down.Store(true)
		time.Sleep(time.Until(r.Until) - time.Nanosecond)
		if synctest.Wait(); len(s.Status().Paused) != 1 {
			t.Error("ended before its time")
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); len(s.Status().Paused) != 0 {
			t.Error("not ended at its time")
		}
		h.down.Store(false)
	})
}

// A watch that misses a change is replaced by another one, and the change is met at the heartbeat.
func TestAWatchThatHangsIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		h.deaf.Store(true)
		s, leave := join(t, h, group.Options{})
		defer leave()
		synctest.Wait()
		if _, err := group.Pause(t.Context(), h.store, "g", group.Request{}); err != nil {
			t.Error(err)
		}
		if len(s.Status().Paused) != 1 {
			t.Error("not paused at a heartbeat")
		}
		h.deaf.Store(false)
		time.Sleep(2 * time.Second)
		if n := h.watches.Load(); n != 2 {
			t.Errorf("%d watches; want another one", n)
		}
		before := time.Now()
		if _, err := group.Resume(t.Context(), h.store, "g", group.Request{}); err != nil || time.Since(before) > time.Second {
			t.Errorf("resumed after %v: %v", time.Since(before), err)
		}
	})
}

// What a member applied before its store was deleted confirms nothing in the one made in its place.
func TestAnotherIncarnationIsNotConfirmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		row := `{"id":"m","state":"running","applied":{"incarnation":"deleted","revision":1000}}`
		if _, err := h.Put(t.Context(), group.MemberRows, "g", "m", []byte(row), 0); err != nil {
			t.Fatal(err)
		}
		if r, err := group.Pause(t.Context(), h, "g", group.Request{}); !errors.Is(err, group.ErrUnconfirmed) || len(r.Missing) != 1 {
			t.Errorf("%v: %+v", err, r)
		}
	})
}

func TestARowThatCannotBeReadConfirmsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		if _, err := h.Put(t.Context(), group.MemberRows, "g", "m", []byte("?"), 0); err != nil {
			t.Fatal(err)
		}
		r, err := group.Pause(t.Context(), h, "g", group.Request{})
		if !errors.Is(err, group.ErrUnconfirmed) || len(r.Missing) != 1 || r.Missing[0].State != group.Unreadable {
			t.Errorf("%v: %+v", err, r)
		}
	})
}

// TestRequestForAnotherRevisionChangesNothing: of two people who change what they have seen, the
// second is told of the first.
func TestRequestForAnotherRevisionChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		seen, err := group.Pause(t.Context(), h, "g", group.Request{Topic: "t", By: "first"})
		if err != nil {
			t.Fatal(err)
		}
		changed, err := group.Pause(t.Context(), h, "g", group.Request{Topic: "t", By: "second", IfRevision: seen.Revision})
		if err != nil || changed.Revision <= seen.Revision {
			t.Fatalf("what was seen is changed: %+v, %v", changed, err)
		}
		for name, request := range map[string]func(context.Context, group.Store, string, group.Request) (group.Result, error){"pause": group.Pause, "resume": group.Resume} {
			if _, err := request(t.Context(), h, "g", group.Request{Topic: "t", By: "third", IfRevision: seen.Revision}); !errors.Is(err, group.ErrConflict) {
				t.Errorf("%s of what was changed since: %v; want ErrConflict", name, err)
			}
		}
		if pauses, err := group.Pauses(t.Context(), h, "g"); err != nil || len(pauses) != 1 || pauses[0].By != "second" {
			t.Errorf("pauses: %+v, %v", pauses, err)
		}
		if _, err := group.Resume(t.Context(), h, "g", group.Request{Topic: "t", IfRevision: changed.Revision}); err != nil {
			t.Errorf("resume what was seen: %v", err)
		}
	})
}

func TestWhatIsOutOfBoundsIsRefused(t *testing.T) {
	t.Parallel()
	h := newHooked(t)
	long := strings.Repeat("x", 2000)
	for what, r := range map[string]group.Request{
		"For is 999ms": {For: 999 * time.Millisecond}, "For is 721h": {For: 721 * time.Hour}, "Reason has 2000 bytes": {Reason: long},
		"By has 2000": {By: long}, `By is "\n"`: {By: "\n"}, `Reason is "\xff"`: {Reason: "\xff"}, "Topic has 2000": {Topic: long},
	} {
		if _, err := group.Pause(t.Context(), h, "g", r); !errors.Is(err, group.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%v; want %s", err, what)
		}
	}
	for what, o := range map[string]group.Options{
		"Heartbeat is 1ms": {Heartbeat: time.Millisecond}, "Heartbeat is 11s": {Heartbeat: 11 * time.Second},
		"Name has 2000": {Name: long}, "Version is": {Version: "\x00"},
	} {
		if _, err := group.Join(t.Context(), h, "g", &o); !errors.Is(err, group.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%v; want %s", err, what)
		}
	}
	_, members := group.Members(t.Context(), h, "")
	_, pauses := group.Pauses(t.Context(), h, "")
	_, joined := group.Join(t.Context(), h, "", nil)
	for _, err := range []error{members, pauses, joined} {
		if !errors.Is(err, group.ErrInvalid) {
			t.Errorf("no group: %v; want ErrInvalid", err)
		}
	}
}

func BenchmarkEnter(b *testing.B) {
	s, err := group.Join(b.Context(), newHooked(b), "g", nil)
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		leave, err := s.Enter(ctx)
		if err != nil {
			b.Fatal(err)
		}
		leave(nil)
	}
}

func TestEnterAllocatesNothing(t *testing.T) {
	s, err := group.Join(t.Context(), newHooked(t), "g", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = s.Enter(t.Context()) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
