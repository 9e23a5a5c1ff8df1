package group_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/group"
)

// runs are the Runs of a process that have begun and ended.
type runs struct {
	mu     sync.Mutex
	begun  []*group.Ownership
	causes []error
}

func (r *runs) run(ctx context.Context, o *group.Ownership) {
	r.mu.Lock()
	r.begun = append(r.begun, o)
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.causes = append(r.causes, context.Cause(ctx))
}

// counts returns how many Runs have begun and ended.
func (r *runs) counts() (begun, ended int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.begun), len(r.causes)
}

func (r *runs) first() *group.Ownership {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.begun[0]
}

func (r *runs) want(t *testing.T, when string, begun, ended int) {
	t.Helper()
	synctest.Wait()
	if b, e := r.counts(); b != begun || e != ended {
		t.Errorf("%s: %d Runs begun and %d ended; want %d and %d", when, b, e, begun, ended)
	}
}

func assign(t *testing.T, s *group.Session, partitions int, o group.AssignmentOptions) (*group.Assignment, *runs) {
	t.Helper()
	r := &runs{}
	o.Run = r.run
	a, err := s.Assign("t", partitions, &o)
	if err != nil {
		t.Fatal(err)
	}
	return a, r
}

func plan(t *testing.T, store group.Store) group.Plan {
	t.Helper()
	plans, err := group.Plans(t.Context(), store, "g")
	if err != nil || len(plans) != 1 {
		t.Fatalf("plans: %+v, %v", plans, err)
	}
	return plans[0]
}

// The partitions of a process that was killed have a new owner within a second of the moment at
// which its row expires, whatever the heartbeat.
func TestPartitionsOfAKilledProcessMoveWhenItsRowExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		other := &hooked{store: h.store}
		a, leaveA := join(t, h, group.Options{})
		defer leaveA()
		_, of := assign(t, a, 2, group.AssignmentOptions{})
		of.want(t, "alone", 2, 0)
		b, leaveB := join(t, other, group.Options{Heartbeat: 7 * time.Second}) // out of step
		assign(t, b, 2, group.AssignmentOptions{})
		time.Sleep(33 * time.Second)
		of.want(t, "shared", 2, 1)
		members, err := group.Members(t.Context(), h, "g")
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(members, func(m group.Member) bool { return m.ID == b.Status().ID })
		other.down.Store(true)
		time.Sleep(time.Until(members[i].Renewed.Add(h.TTL() - time.Millisecond)))
		of.want(t, "before the row expires", 2, 1)
		time.Sleep(time.Second)
		of.want(t, "after the row has expired", 3, 1)
		other.down.Store(false)
		leaveB()
	})
}

// What is owned rests on the plan as well: an owner that cannot read it for longer than the TTL
// stops, though it is a member all the time.
func TestOwnersStopWhenTheyCannotReadThePlan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		s, leave := join(t, h, group.Options{})
		defer leave()
		a, r := assign(t, s, 1, group.AssignmentOptions{})
		time.Sleep(time.Hour)
		r.want(t, "an hour later", 1, 0)
		h.plansDown.Store(true)
		time.Sleep(h.TTL() / 2)
		r.want(t, "not reached for a moment", 1, 0)
		time.Sleep(h.TTL() / 2)
		r.want(t, "not reached", 1, 1)
		if !errors.Is(r.causes[0], group.ErrPartitionLost) || a.Err() == nil || s.Healthy() != nil || !r.begun[0].Until().IsZero() || len(a.Owned()) > 0 {
			t.Errorf("cause %v, assignment %v, session %v, until %v, owned %v", r.causes[0], a.Err(), s.Healthy(), r.begun[0].Until(), a.Owned())
		}
		h.plansDown.Store(false)
		time.Sleep(h.TTL())
		r.want(t, "reached again", 2, 1)
		if first, second := r.begun[0].Epoch(), r.begun[1].Epoch(); second <= first || a.Err() != nil {
			t.Errorf("epoch %d after %d; %v", second, first, a.Err())
		}
	})
}

// A store that is known not to exist is no reason to stop: nobody else can take anything.
func TestOwnersGoOnWhileThereIsNoStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		s, leave := join(t, h, group.Options{})
		defer leave()
		_, r := assign(t, s, 3, group.AssignmentOptions{})
		r.want(t, "at first", 3, 0)
		h.gone.Store(true)
		time.Sleep(10 * h.TTL())
		r.want(t, "without a store", 3, 0)
		if !r.begun[0].Certain() || !r.begun[0].Until().After(time.Now()) {
			t.Error("not certain to be an owner")
		}
		h.store.Reset()
		h.gone.Store(false)
		time.Sleep(2 * h.TTL())
		r.want(t, "with another store", 3, 0)
		for i, p := range plan(t, h).Partitions {
			if p.Owner != s.Status().ID || p.Epoch != r.begun[0].Epoch() {
				t.Errorf("partition %d: %+v; want it to be written in again", i, p)
			}
		}
	})
}

// A store that was made just now may have been made in the place of another one.
func TestPartitionsThatMayHaveOwnersAreNotTakenInANewStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		s, leave := join(t, h, group.Options{})
		defer leave()
		_, r := assign(t, s, 2, group.AssignmentOptions{MayHaveOwners: true})
		time.Sleep(h.TTL() - time.Millisecond)
		r.want(t, "before the store is as old as its TTL", 0, 0)
		time.Sleep(2 * time.Millisecond)
		r.want(t, "after that", 2, 0)
	})
}

// While no change is heard of, plans are read at each heartbeat.
func TestPartitionsMoveThoughTheWatchIsDeaf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		h.deaf.Store(true)
		a, leaveA := join(t, h, group.Options{})
		_, of := assign(t, a, 2, group.AssignmentOptions{})
		of.want(t, "alone", 2, 0)
		b, leaveB := join(t, h, group.Options{})
		_, other := assign(t, b, 2, group.AssignmentOptions{})
		time.Sleep(2 * h.TTL())
		of.want(t, "shared", 2, 1)
		other.want(t, "shared", 1, 0)
		leaveA()
		leaveB()
	})
}

func TestASessionWithoutAssignmentsReadsNoPlans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		s, leave := join(t, h, group.Options{})
		time.Sleep(time.Hour)
		if n := h.planCalls.Load(); n > 0 {
			t.Errorf("%d calls", n)
		}
		a, _ := assign(t, s, 1, group.AssignmentOptions{})
		synctest.Wait()
		if err := a.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		<-a.Done()
		before := h.planCalls.Load()
		time.Sleep(time.Hour)
		if n := h.planCalls.Load(); n > before || before == 0 {
			t.Errorf("%d calls after %d", n, before)
		}
		leave()
	})
}

// What is assigned before Run waits for it; what was drained before it ends with it.
func TestAssignmentsBeginWithRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		s, err := group.Join(t.Context(), h, "g", &group.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		_, r := assign(t, s, 1, group.AssignmentOptions{})
		drained, err := s.Assign("u", 1, &group.AssignmentOptions{Run: r.run})
		if err != nil {
			t.Fatal(err)
		}
		if err := drained.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		r.want(t, "before Run", 0, 0)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		<-drained.Done()
		r.want(t, "in Run", 1, 0)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		r.want(t, "after Run", 1, 1)
		if !errors.Is(r.causes[0], group.ErrRevoked) {
			t.Errorf("ended with %v; want ErrRevoked", r.causes[0])
		}
		if _, err := s.Assign("t", 1, &group.AssignmentOptions{Run: r.run}); !errors.Is(err, group.ErrLeft) {
			t.Errorf("Assign: %v; want ErrLeft", err)
		}
		if p := plan(t, h); p.Partitions[0].Owner != "" || len(p.Members) > 0 {
			t.Errorf("%+v; want it to be free", p)
		}
	})
}

// A machine that was suspended may show that in its wall clock alone: its owners are not certain.
func TestAnOwnerOnASuspendedMachineIsNotCertain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		var suspended atomic.Int64 // wall time that is not in the monotonic clock
		began := time.Now()
		s, leave := join(t, h, group.Options{Now: func() time.Time {
			return began.Round(0).Add(time.Since(began) + time.Duration(suspended.Load()))
		}})
		defer leave()
		_, r := assign(t, s, 1, group.AssignmentOptions{})
		r.want(t, "at first", 1, 0)
		o := r.first()
		if !o.Certain() {
			t.Error("not certain at first")
		}
		suspended.Store(int64(time.Hour))
		if o.Certain() {
			t.Error("certain after an hour")
		}
		time.Sleep(h.TTL())
		r.want(t, "later", 2, 1)
	})
}

// A plan that cannot be read is left alone. Owners stop; when it is deleted, it is made again.
func TestAPlanThatCannotBeReadIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		s, leave := join(t, h, group.Options{})
		defer leave()
		a, r := assign(t, s, 1, group.AssignmentOptions{})
		synctest.Wait()
		for i, data := range []string{"?", `{"v":2}`, `{"v":1,"partitions":1}`, `{"v":1,"partitions":0}`} {
			if _, err := h.Put(t.Context(), group.PlanRows, "g", "t", []byte(data), group.AnyRevision); err != nil {
				t.Fatal(err)
			}
			time.Sleep(h.TTL())
			if p := plan(t, h); p.Unreadable == "" || a.Err() == nil {
				t.Errorf("%s: %+v, %v", data, p, a.Err())
			}
			r.want(t, data, i+1, i+1)
			if err := h.Delete(t.Context(), group.PlanRows, "g", "t"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * h.TTL())
			r.want(t, "deleted", i+2, i+1)
		}
	})
}

// A plan that is deleted by hand under its owners is written again, and nothing moves.
func TestOwnersGoOnThoughTheirPlanWasDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		var all []*runs
		for range 3 {
			s, leave := join(t, h, group.Options{})
			t.Cleanup(leave)
			_, r := assign(t, s, 3, group.AssignmentOptions{})
			all = append(all, r)
			synctest.Wait() // the first one has all
		}
		time.Sleep(2 * h.TTL())
		all[0].want(t, "shared", 3, 2)
		if err := h.Delete(t.Context(), group.PlanRows, "g", "t"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * h.TTL())
		all[0].want(t, "deleted", 3, 2)
		all[1].want(t, "deleted", 1, 0)
		all[2].want(t, "deleted", 1, 0)
	})
}

// So it is where a process that owns nothing is the first one to miss it.
func TestAStandbyTakesNothingWhenThePlanWasDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		other := &hooked{store: h.store}
		a, leaveA := join(t, h, group.Options{})
		defer leaveA()
		_, owner := assign(t, a, 1, group.AssignmentOptions{})
		owner.want(t, "alone", 1, 0)
		b, leaveB := join(t, other, group.Options{})
		defer leaveB()
		_, standby := assign(t, b, 1, group.AssignmentOptions{})
		time.Sleep(2 * h.TTL())
		h.plansDown.Store(true)
		if err := other.Delete(t.Context(), group.PlanRows, "g", "t"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(h.TTL() / 10)
		if p := plan(t, other); len(p.Members) != 1 || p.Members[0] != b.Status().ID {
			t.Errorf("%+v; want one made by the standby", p)
		}
		h.plansDown.Store(false)
		time.Sleep(3 * h.TTL())
		owner.want(t, "deleted", 1, 0)
		standby.want(t, "deleted", 0, 0)
	})
}

// A session that waits for its Runs to return assigns nothing more.
func TestASessionThatEndsAssignsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, leave := join(t, newHooked(t), group.Options{})
		returns, revoked := make(chan struct{}), make(chan struct{})
		run := func(ctx context.Context, _ *group.Ownership) {
			<-ctx.Done()
			close(revoked)
			<-returns
		}
		if _, err := s.Assign("t", 1, &group.AssignmentOptions{Run: run}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		left := make(chan struct{})
		go func() {
			defer close(left)
			leave()
		}()
		<-revoked
		if _, err := s.Assign("u", 1, &group.AssignmentOptions{Run: run}); !errors.Is(err, group.ErrLeft) {
			t.Errorf("Assign: %v; want ErrLeft", err)
		}
		close(returns)
		<-left
	})
}

func TestTwoProcessesOfOneNameAreWarnedOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		var log strings.Builder
		for i := range 2 {
			s, leave := join(t, h, group.Options{Name: "billing-0"})
			t.Cleanup(leave)
			o := group.AssignmentOptions{Logger: slog.New(slog.DiscardHandler)}
			if i == 1 {
				o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			}
			assign(t, s, 4, o)
			synctest.Wait()
		}
		time.Sleep(h.TTL())
		synctest.Wait()
		if n := strings.Count(log.String(), "another member has this name"); n != 1 {
			t.Errorf("%d warnings: %s", n, log.String())
		}
	})
}

func TestAssignmentsOutOfBoundsAreRefused(t *testing.T) {
	t.Parallel()
	s, err := group.Join(t.Context(), newHooked(t), "g", &group.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	o := &group.AssignmentOptions{Run: func(context.Context, *group.Ownership) {}}
	for what, try := range map[string]func() (*group.Assignment, error){
		"partitions is 0":    func() (*group.Assignment, error) { return s.Assign("t", 0, o) },
		"partitions is 1025": func() (*group.Assignment, error) { return s.Assign("t", group.MaxPartitions+1, o) },
		"topic has 0 bytes":  func() (*group.Assignment, error) { return s.Assign("", 1, o) },
		"Run is nil":         func() (*group.Assignment, error) { return s.Assign("t", 1, nil) },
	} {
		if _, err := try(); !errors.Is(err, group.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%v; want %s", err, what)
		}
	}
	if _, err := group.Plans(t.Context(), newHooked(t), ""); !errors.Is(err, group.ErrInvalid) {
		t.Errorf("Plans of no group: %v; want ErrInvalid", err)
	}
}

// HasPlan knows topics that were ever assigned in the group, also after everybody has left.
func TestPlansAreKnownAfterTheirMembersHaveLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHooked(t)
		a, leaveA := join(t, h, group.Options{})
		assign(t, a, 2, group.AssignmentOptions{})
		synctest.Wait()
		leaveA()
		b, leaveB := join(t, h, group.Options{})
		defer leaveB()
		for topic, want := range map[string]bool{"t": true, "u": false} {
			if has, err := b.HasPlan(t.Context(), topic); err != nil || has != want {
				t.Errorf("%q: %v, %v; want %v", topic, has, err, want)
			}
		}
		h.plansDown.Store(true)
		if _, err := b.HasPlan(t.Context(), "t"); err == nil {
			t.Error("no error from a store that is not reached")
		}
		h.plansDown.Store(false)
	})
}
