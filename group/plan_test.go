package group

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// After a gap in which its row may have expired, a process owns nothing of what it owned before,
// though it is a member again: somebody may have seen that it was gone.
func TestAnOwnershipEndsWithAGapInTheMembership(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &Session{store: ttlStore{}, options: Options{Heartbeat: 10 * time.Second, Now: func() time.Time { return now }}}
	a := &Assignment{session: s}
	s.noteMembership(now, now)
	m, ok := s.isMember(now)
	if !ok {
		t.Fatal("not a member")
	}
	o := &Ownership{assignment: a, generation: m.generation}
	renew := func(after time.Duration) (certain bool) {
		sent := now
		now = now.Add(after)
		s.noteMembership(sent, now)
		verified := now
		a.verified.Store(&verified)
		return o.Certain()
	}
	if !renew(0) || !renew(10*time.Second) {
		t.Error("not certain while it is renewed")
	}
	now = now.Add(19 * time.Second)
	if !renew(0) {
		t.Error("not certain after a renewal that came late")
	}
	now = now.Add(31 * time.Second)
	if renew(0) || !o.Until().IsZero() {
		t.Error("certain after a gap")
	}
}

type ttlStore struct{ Store }

func (ttlStore) TTL() time.Duration { return DefaultTTL }

// The largest plan fits in a NATS message, 1 MiB by default.
func TestALargePlanFitsInOneRow(t *testing.T) {
	t.Parallel()
	r := newPlanRow(MaxPartitions)
	now := time.Date(2030, 1, 1, 0, 0, 0, 123456789, time.UTC)
	id := func(i int) string { return fmt.Sprintf("ID%024d", i) }
	for i := range 256 {
		r.Members = append(r.Members, planMember{ID: id(i), Name: strings.Repeat("n", maxName), Joined: now, Left: now, Draining: true})
	}
	for i := range r.Slots {
		r.Slots[i] = slot{Owner: id(i), Next: id(i), Freed: true, Epoch: 1 << 40, Since: now, Failures: 100, NotBefore: now}
	}
	data, err := r.encode()
	if err != nil || len(data) > 1<<19 {
		t.Errorf("%d bytes, %v; want half a MiB at most", len(data), err)
	}
	if back, err := parsePlanRow(&Row{Data: data}); err != nil || !back.equal(r) {
		t.Errorf("read differently: %v", err)
	}
}

// Whatever a row holds, it is refused or planned on.
func FuzzPlanRow(f *testing.F) {
	f.Add([]byte(`{"v":1,"partitions":2,"members":[{"id":"a","name":"x"},{"id":"b","draining":true}],"slots":[{"owner":"a","next":"b"},{"owner":"c","freed":true}]}`))
	f.Add([]byte(`{"v":1,"partitions":1,"hold_until":"2030-01-01T00:00:00Z","members":[{"id":"a"},{"id":"a"}],"slots":[{"next":"z"}]}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		row, err := parsePlanRow(&Row{Data: data})
		if err != nil {
			return
		}
		p := planner{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), live: func(id string) bool { return id < "m" }}
		p.step(row)
		describePlan(&Row{Key: "t", Data: data})
	})
}
