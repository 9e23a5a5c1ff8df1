package acceptance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/onceish/onceish/group"
	natsgroup "github.com/onceish/onceish/group/nats"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
)

// TestOneOfManyPausesAtOnceHolds: the others say that a later one has taken their place, and one
// resume ends it, also on the server.
func TestOneOfManyPausesAtOnceHolds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := r.expireMembers(shortTTL)
	w := r.join("", r.handles("worker", longLeases))
	outcomes := make([]error, 10)
	var conns []*worker.Connections
	for range outcomes {
		conns = append(conns, r.connect(""))
	}
	var all sync.WaitGroup
	for i := range outcomes {
		all.Go(func() {
			_, outcomes[i] = conns[i].PauseGroup(t.Context(), "billing", group.Request{By: fmt.Sprint(i)})
		})
	}
	all.Wait()
	held := 0
	for _, err := range outcomes {
		if err == nil {
			held++
		} else if !errors.Is(err, group.ErrSuperseded) {
			t.Error(err)
		}
	}
	if held == 0 {
		t.Error("no pause holds")
	}
	r.publish(many("event-", 20, "effect")...)
	r.holds(store, 0)
	_, err := w.conns.ResumeGroup(t.Context(), "billing", group.Request{})
	must(t, err)
	r.settled()
	r.once("event-", 20)
}

// TestBucketsDeletedWhileWorkersRun: members are back by themselves. A pause goes on without the
// members' rows, and is lifted with its own; what the server pauses is left to worker resume.
func TestBucketsDeletedWhileWorkersRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := r.expireMembers(shortTTL)
	w := r.join("", r.handles("worker", longLeases))
	id := r.members(store)[0].ID
	_, err := w.conns.PauseGroup(t.Context(), "billing", group.Request{})
	must(t, err)
	r.publish(many("event-", 20, "effect")...)
	must(t, r.js().DeleteKeyValue(t.Context(), natsgroup.MembersBucket))
	r.awaitMembers(store, id)
	r.holds(store, 0)
	must(t, r.js().DeleteKeyValue(t.Context(), natsgroup.GroupsBucket))
	r.eventually("the pause is the server's alone", func() bool {
		m := r.members(store)
		return len(m) == 1 && m[0].ID == id && len(m[0].Subscriptions) == 1 && m[0].Subscriptions[0].State == "paused" &&
			len(m[0].Subscriptions[0].Why) > 6 && m[0].Subscriptions[0].Why[:7] == "by nats"
	})
	r.holds(store, 0)
	_, err = w.conns.ResumeGroup(t.Context(), "billing", group.Request{})
	must(t, err)
	r.settled()
	r.once("event-", 20)
}

// TestAccountsHaveGroupsOfTheirOwn: a pause in one account of a server does not reach the group of
// the same name in another.
func TestAccountsHaveGroupsOfTheirOwn(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "accounts.conf")
	must(t, os.WriteFile(config, []byte(`accounts: {
		ONE: {jetstream: enabled, users: [{user: one, password: secret}]}
		TWO: {jetstream: enabled, users: [{user: two, password: secret}]}
	}`), 0o600))
	parsed, err := natsserver.ProcessConfigFile(config)
	must(t, err)
	server := natstest.Start(t, func(o *natsserver.Options) { o.Accounts, o.Users = parsed.Accounts, parsed.Users })
	var rigs []*rig
	for _, user := range []string{"one", "two"} {
		r := rigOn(t, "nats://"+user+":secret@"+server.Addr(), nil)
		r.expireMembers(shortTTL)
		r.join("", r.handles(user, longLeases))
		rigs = append(rigs, r)
	}
	_, err = rigs[0].connect("").PauseGroup(t.Context(), "billing", group.Request{})
	must(t, err)
	for _, r := range rigs {
		r.publish(many("event-", 20, "effect")...)
	}
	rigs[1].settled()
	rigs[1].once("event-", 20)
	if n := rigs[0].ledger.count("start", "", ""); n != 0 {
		t.Errorf("%d handlers started in the account that is paused", n)
	}
}
