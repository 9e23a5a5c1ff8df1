package acceptance

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
)

const memberEnv = "ONCEISH_ACCEPTANCE_MEMBER"

// memberScript is what a process that is a member of "billing" is told to do.
type memberScript struct {
	Name, NATS string
	Rate       flow.Rate // zero: none
}

// beMember is a process that is a worker of a group. It ends in order on SIGTERM.
func beMember(text string) {
	var s memberScript
	check(json.Unmarshal([]byte(text), &s))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := commandline.Logger(os.Stderr, "text", "error")
	c, err := worker.Connect(ctx, &worker.ConnectOptions{NATS: s.NATS, Provision: true, Logger: log})
	check(err)
	w, err := worker.New("billing", c, &worker.Options{Logger: log, Started: func() { say("ready", s.Name, "") }})
	check(err)
	o := &consumer.Options{Concurrency: 8}
	if s.Rate != (flow.Rate{}) {
		o.Limit, err = flow.NewLocal(s.Rate, nil)
		check(err)
	}
	w.Handle("order.placed", func(ctx context.Context, e bus.Event) error { return perform(ctx, e, s.Name, say) }, o)
	check(w.Run(ctx))
	check(c.Close())
}

// member starts a process of the group, and returns its id.
func (r *rig) member(store group.Store, name string, s memberScript) (*process, string) {
	r.t.Helper()
	before := r.members(store)
	s.Name, s.NATS = name, r.url
	p := r.spawn(name, memberEnv, s)
	r.ledger.await(r.t, 1, "ready", name, "")
	after := r.members(store)
	if len(after) != len(before)+1 {
		r.t.Fatalf("%d members after one was started beside %d", len(after), len(before))
	}
	return p, after[len(after)-1].ID
}

// awaitMembers waits until the group has these members and no others. Meanwhile none is there
// twice.
func (r *rig) awaitMembers(store group.Store, want ...string) {
	r.t.Helper()
	r.eventually("the members are as they should be", func() bool {
		members, seen := r.members(store), make(map[string]bool)
		for _, m := range members {
			if seen[m.ID] {
				r.t.Fatalf("member %s is there twice", m.ID)
			}
			seen[m.ID] = true
		}
		all := len(members) == len(want)
		for _, id := range want {
			all = all && seen[id]
		}
		return all
	})
}

// TestRosterShowsNoGhosts: a process that is killed is gone within three heartbeats, and one that
// is told to end at once.
func TestRosterShowsNoGhosts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := r.expireMembers(shortTTL)
	killed, killedID := r.member(store, "killed", memberScript{})
	drained, drainedID := r.member(store, "drained", memberScript{})
	_, stays := r.member(store, "stays", memberScript{})
	r.awaitMembers(store, killedID, drainedID, stays)
	drained.stop()
	if members := r.members(store); len(members) != 2 {
		t.Errorf("%d members right after one has ended; want 2", len(members))
	}
	killed.kill()
	at := time.Now()
	for _, m := range r.members(store) {
		if m.ID == killedID && m.Renewed.After(at) {
			t.Error("a killed process renews its row")
		}
	}
	r.awaitMembers(store, stays)
	if took := time.Since(at); took > shortTTL+time.Second { // which is for the reading
		t.Errorf("the killed process was there for another %v; its rows live for %v", took, shortTTL)
	}
}

// TestFrozenMemberIsGoneAndBack: a process that was frozen for longer than its row lives is gone,
// and back under the same id. What was paused without it meanwhile it does not start, whether it
// waits for events or events in it wait for a limit.
func TestFrozenMemberIsGoneAndBack(t *testing.T) {
	t.Parallel()
	for name, rate := range map[string]flow.Rate{"idle": {}, "limited": {Limit: 4, Per: time.Second}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			store := r.expireMembers(shortTTL)
			frozen, id := r.member(store, "frozen", memberScript{Rate: rate})
			_, other := r.member(store, "other", memberScript{Rate: rate})
			if name == "limited" { // eight in each process wait for the limit when the one is frozen
				r.publish(many("event-", 50, "effect")...)
				r.ledger.await(t, 4, "effect", "frozen", "") // those that start at once; the next one starts a while later
			}
			frozen.signal(syscall.SIGSTOP)
			r.awaitMembers(store, other)
			result := r.pause(store, group.Request{})
			if len(result.Confirmed) != 1 || len(result.Missing) > 0 {
				t.Errorf("%+v; want the pause confirmed without the frozen process", result)
			}
			if name == "idle" {
				r.publish(many("event-", 50, "effect")...)
			}
			starts := r.ledger.count("start", "frozen", "")
			frozen.signal(syscall.SIGCONT)
			r.awaitMembers(store, id, other)
			r.holds(store, r.ledger.count("start", "other", "")+starts)
			r.resume(store, group.Request{})
			r.ledger.await(t, starts+1, "start", "frozen", "")
			r.settled()
			r.once("event-", 50)
		})
	}
}
