package acceptance

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/proxy"
)

// TestPauseOutlivesARestartOfNATS: the group stays paused while the server is down and when it is
// back, and goes on after the resume, whether or not the server itself pauses the consumer.
func TestPauseOutlivesARestartOfNATS(t *testing.T) {
	t.Parallel()
	for name, onServer := range map[string]bool{"by the members alone": false, "by the server too": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			store := r.expireMembers(shortTTL)
			r.join("", r.handles("one", longLeases))
			two := r.join("", r.handles("two", longLeases))
			if onServer {
				_, err := two.conns.PauseGroup(t.Context(), "billing", group.Request{})
				must(t, err)
			} else {
				r.pause(store, group.Request{})
			}
			r.publish(many("before-", 50, "effect")...)
			r.server.Stop()
			r.server.Start(t)
			r.load(many("after-", 50, "effect"))() // once it is connected
			r.eventually("both are members", func() bool { return len(r.members(store)) == 2 })
			r.holds(store, 0)
			if onServer {
				_, err := two.conns.ResumeGroup(t.Context(), "billing", group.Request{})
				must(t, err)
			} else {
				r.resume(store, group.Request{})
			}
			r.settled()
			r.once("before-", 50)
			r.once("after-", 50)
		})
	}
}

// TestWorkerThatIsCutOffFromAPause: a pause that is set while a worker is cut off names it as
// missing, or as gone once its row has expired. When it is back it starts nothing of what it
// fetches. A resume that it misses it learns of when it is back.
func TestWorkerThatIsCutOffFromAPause(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]outage{"refused": refusal((*proxy.Proxy).Cut), "unheard": hole(proxy.ToServer), "deaf": hole(proxy.ToClient)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			store := r.expireMembers(shortTTL)
			p, url := proxied(t, r.url)
			far := r.join(url, r.handles("far", longLeases))
			r.publish(many("first-", 20, "effect")...)
			r.settled()
			before := r.members(store)
			o.begin(p)
			result, err := group.Pause(t.Context(), store, "billing", group.Request{})
			named := slices.Concat(result.Missing, result.Gone) // one that is deaf still renews its row
			if len(named) != 1 || named[0].ID != before[0].ID || isUnconfirmed(err) != (len(result.Gone) == 0) {
				t.Errorf("%+v, %v; want the worker named", result, err)
			}
			r.publish(many("paused-", 300, "effect")...)
			o.end(p)
			r.eventually("it is a member again, and has applied the pause", func() bool {
				members := r.members(store)
				return len(members) == 1 && members[0].ID == before[0].ID && members[0].Applied.Revision >= result.Revision
			})
			r.holds(store, 20)
			if why := r.awaitState(store, "order.placed", "paused"); why == "" {
				t.Error("it does not say why it is paused")
			}
			o.begin(p)
			if _, err := group.Resume(t.Context(), store, "billing", group.Request{}); err != nil && !isUnconfirmed(err) {
				t.Error(err)
			}
			if n := r.ledger.count("start", "", ""); n != 20 {
				t.Errorf("%d handlers started while it was paused and cut off", n-20)
			}
			o.end(p)
			r.settled()
			r.awaitState(store, "order.placed", "running")
			far.drain()
			r.once("first-", 20)
			r.once("paused-", 300)
		})
	}
}

// TestPauseNamesWhoIsMissing: a worker that is cut off and not gone yet has not confirmed.
func TestPauseNamesWhoIsMissing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := r.expireMembers(time.Minute)
	r.join("", r.handles("near", longLeases))
	p, url := proxied(t, r.url)
	near := r.members(store)[0].ID
	r.join(url, r.handles("far", longLeases))
	cut := refusal((*proxy.Proxy).Cut)
	cut.begin(p)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	result, err := group.Pause(ctx, store, "billing", group.Request{})
	if !isUnconfirmed(err) || len(result.Missing) != 1 || len(result.Confirmed) != 1 || result.Confirmed[0].ID != near {
		t.Errorf("%+v, %v; want the worker that is cut off missing, and the other one confirmed", result, err)
	}
	cut.end(p)
	r.eventually("it confirms when it is back", func() bool {
		result, err := group.Pause(t.Context(), store, "billing", group.Request{})
		return err == nil && len(result.Confirmed) == 2
	})
}

// TestPauseByTheServerIsShownAndEnds: what the nats command pauses is shown as its pause, ends by
// itself or by worker resume, and loses nothing.
func TestPauseByTheServerIsShownAndEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := r.expireMembers(shortTTL)
	r.join("", r.handles("one", longLeases))
	two := r.join("", r.handles("two", longLeases))
	pause := func(d time.Duration) {
		t.Helper()
		_, err := r.js().PauseConsumer(t.Context(), r.stream("order.placed"), natsbus.ConsumerName("billing", "order.placed"), time.Now().Add(d))
		must(t, err)
	}
	byNATS := func() {
		t.Helper()
		if why := r.awaitState(store, "order.placed", "paused"); !strings.Contains(why, "by nats") {
			t.Errorf("it is paused %q, not by nats", why)
		}
	}
	pause(4 * time.Second)
	r.publish(many("first-", 100, "effect")...)
	byNATS()
	r.settled() // it ends by itself
	r.awaitState(store, "order.placed", "running")
	pause(time.Hour)
	r.publish(many("second-", 100, "effect")...)
	byNATS()
	r.holds(store, 100)
	result, err := two.conns.ResumeGroup(t.Context(), "billing", group.Request{})
	if err != nil || len(result.Confirmed) != 2 || len(result.Warnings) > 0 {
		t.Errorf("%+v, %v; want it resumed", result, err)
	}
	r.settled()
	r.awaitState(store, "order.placed", "running")
	r.once("first-", 100)
	r.once("second-", 100)
}

// TestWorkerThatStartsWhilePausedStartsNothing: it is paused before it is subscribed, says why, and
// goes on after the resume.
func TestWorkerThatStartsWhilePausedStartsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := r.expireMembers(shortTTL)
	r.pause(store, group.Request{Reason: "upgrade", By: "ann"})
	r.publish(many("event-", 100, "effect")...)
	w := r.join("", r.handles("late", longLeases))
	if why := r.awaitState(store, "order.placed", "paused"); !strings.Contains(why, "upgrade, by ann") {
		t.Errorf("it is paused: %q", why)
	}
	r.holds(store, 0)
	r.resume(store, group.Request{})
	r.settled()
	w.drain()
	r.once("event-", 100)
}

// TestRetriesThatFellDueWhilePausedGoOn with the attempt that they would have had.
func TestRetriesThatFellDueWhilePausedGoOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := r.expireMembers(shortTTL)
	r.join("", r.handles("worker", longLeases))
	r.publish(many("event-", 20, "fail@1", "effect@2", "fail@3")...)
	r.ledger.await(t, 20, "start", "", "")
	r.pause(store, group.Request{Topic: "order.placed"})
	starts := r.ledger.count("start", "", "")
	r.holds(store, starts) // some retries may have run before
	r.resume(store, group.Request{Topic: "order.placed"})
	r.settled()
	r.once("event-", 20)
	if n := r.ledger.count("start", "", ""); n != 40 {
		t.Errorf("%d runs of 20 events that fail once", n)
	}
}
