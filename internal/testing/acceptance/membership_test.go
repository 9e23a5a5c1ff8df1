package acceptance

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/group"
	natsgroup "github.com/onceish/onceish/group/nats"
	"github.com/onceish/onceish/worker"
)

// shortTTL is how long the rows of members live in most tests, so that one that is gone is soon
// known to be.
const shortTTL = 3 * time.Second

// expireMembers makes the bucket of members, so that their rows live for so long, and returns the
// store.
func (r *rig) expireMembers(ttl time.Duration) *natsgroup.Store {
	r.t.Helper()
	s, err := natsgroup.New(r.t.Context(), r.nc, &natsgroup.Options{MemberTTL: ttl, Logger: r.logger()})
	must(r.t, err)
	return s
}

// groupWorker is a worker of "billing" in the test's own process, over connections of its own.
type groupWorker struct {
	*worker.Worker

	t     *testing.T
	conns *worker.Connections
	stop  context.CancelFunc
	ended chan error
}

// connect opens connections until the test ends; an empty URL is the rig's.
func (r *rig) connect(url string) *worker.Connections {
	r.t.Helper()
	if url == "" {
		url = r.url
	}
	c, err := worker.Connect(r.t.Context(), &worker.ConnectOptions{NATS: url, Provision: true, Lease: shortTTL, Logger: r.logger()})
	must(r.t, err)
	r.t.Cleanup(func() { _ = c.Close() }) // what uses it has ended
	return c
}

// join runs a worker that does what setUp adds, and returns when it is subscribed.
func (r *rig) join(url string, setUp func(w *worker.Worker)) *groupWorker {
	r.t.Helper()
	w := &groupWorker{t: r.t, conns: r.connect(url), ended: make(chan error, 1)}
	started := make(chan struct{})
	var err error
	w.Worker, err = worker.New("billing", w.conns, &worker.Options{Logger: r.logger(), Started: func() { close(started) }})
	must(r.t, err)
	setUp(w.Worker)
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.WithoutCancel(r.t.Context()))
	go func() { w.ended <- w.Run(ctx) }()
	r.t.Cleanup(w.drain)
	select {
	case <-started:
	case err := <-w.ended:
		r.t.Fatalf("the worker did not start: %v", err)
	case <-time.After(patience):
		r.t.Fatal("the worker does not start")
	}
	return w
}

// drain ends the worker, which must leave nothing behind. Repeated calls do nothing.
func (w *groupWorker) drain() {
	w.stop()
	if w.ended == nil {
		return
	}
	select {
	case err := <-w.ended:
		if err != nil {
			w.t.Errorf("the worker ended with %v", err)
		}
	case <-time.After(patience):
		w.t.Error("the worker does not end")
	}
	w.ended = nil
}

// handles subscribes a worker to order.placed. The handler does what events say, in the name of
// who.
func (r *rig) handles(who string, o consumer.Options) func(*worker.Worker) {
	s := setup{Options: o}
	return func(w *worker.Worker) {
		w.Handle("order.placed", func(ctx context.Context, e bus.Event) error { return perform(ctx, e, who, r.ledger.say) }, s.options(r))
	}
}

// pause pauses the group without telling the server, so that the members alone hold back what they
// fetch.
func (r *rig) pause(store group.Store, q group.Request) group.Result {
	r.t.Helper()
	result, err := group.Pause(r.t.Context(), store, "billing", q)
	must(r.t, err)
	return result
}

func (r *rig) resume(store group.Store, q group.Request) {
	r.t.Helper()
	_, err := group.Resume(r.t.Context(), store, "billing", q)
	must(r.t, err)
}

// members are the group's, as its operators see it.
func (r *rig) members(store group.Store) []group.Member {
	r.t.Helper()
	var members []group.Member
	r.eventually("members are read", func() (ok bool) {
		var err error
		members, err = group.Members(r.t.Context(), store, "billing")
		return err == nil
	})
	return members
}

// awaitState waits until a member says of a subscription that it is in a state, and returns why.
func (r *rig) awaitState(store group.Store, topic, state string) (why string) {
	r.t.Helper()
	r.eventually(topic+" is "+state, func() bool {
		for _, m := range r.members(store) {
			for _, s := range m.Subscriptions {
				if s.Topic == topic && s.State == state {
					why = s.Why
					return true
				}
			}
		}
		return false
	})
	return why
}

// holds checks that nothing starts for a while in which it could: until every member has said so
// often that it lives.
func (r *rig) holds(store group.Store, starts int) {
	r.t.Helper()
	renewed := make(map[string]map[time.Time]bool)
	r.eventually("members renew their rows", func() bool {
		least := 3
		for _, m := range r.members(store) {
			if renewed[m.ID] == nil {
				renewed[m.ID] = make(map[time.Time]bool)
			}
			renewed[m.ID][m.Renewed] = true
			least = min(least, len(renewed[m.ID]))
		}
		return least >= 3
	})
	if n := r.ledger.count("start", "", ""); n != starts {
		r.t.Errorf("%d handlers started while the group was paused", n-starts)
	}
}

// isUnconfirmed reports whether a pause was not confirmed by all.
func isUnconfirmed(err error) bool { return errors.Is(err, group.ErrUnconfirmed) }
