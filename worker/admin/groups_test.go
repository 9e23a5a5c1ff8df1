package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker"
)

// Groups are shown as they are: their topics, processes, states and lag.
func TestGroupsAreShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if list := decode[GroupList](t, r.get(t, "/v1/groups")); len(list.Groups) != 0 {
		t.Errorf("groups of a server that has none: %+v", list)
	}
	handled := make(chan string, 10)
	r.startWorker(t, handled)
	r.publish(t, "order.placed", "1")
	<-handled
	reportNow(t, r)
	list := decode[GroupList](t, r.get(t, "/v1/groups"))
	if len(list.Groups) != 1 || list.Groups[0].Group != "billing" || list.Groups[0].Topic != "order.placed" {
		t.Errorf("groups: %+v", list)
	}
	g := decode[GroupStatus](t, r.get(t, "/v1/groups/billing"))
	if len(g.Members) != 1 || len(g.Topics) != 1 || len(g.Pauses) != 0 || g.Now.IsZero() {
		t.Fatalf("the group: %+v", g)
	}
	if s := g.Members[0].Subscriptions; len(s) != 1 || s[0].Topic != "order.placed" || s[0].State != "running" {
		t.Errorf("subscriptions: %+v", s)
	}
	members := decode[MemberList](t, r.get(t, "/v1/groups/billing/members"))
	if len(members.Members) != 1 || members.Members[0].ID != g.Members[0].ID || members.Members[0].Renewed.IsZero() {
		t.Errorf("members: %+v", members)
	}
	limits := decode[LimitList](t, r.get(t, "/v1/groups/billing/limits"))
	if len(limits.Limits) != 1 || limits.Limits[0].Concurrency != 16 || limits.Limits[0].State != "running" {
		t.Errorf("limits: %+v", limits)
	}
	lag := decode[GroupLag](t, r.get(t, "/v1/groups/billing/lag?topic=order.placed"))
	if len(lag.Subscriptions) != 1 || lag.Subscriptions[0].Topic != "order.placed" {
		t.Errorf("lag: %+v", lag)
	}
}

// reportNow makes the processes of the group report what they do, as they do at a change of pauses.
func reportNow(t *testing.T, r *rig) {
	t.Helper()
	for _, change := range []func(context.Context, string, group.Request) (worker.PauseResult, error){r.conns.PauseGroup, r.conns.ResumeGroup} {
		_, err := change(t.Context(), "billing", group.Request{Topic: "order.placed"})
		must(t, err)
	}
}

// A pause is shown with who made it and why, wherever the group is.
func TestPausesAreShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startWorker(t, nil)
	_, err := r.conns.PauseGroup(t.Context(), "billing", group.Request{Topic: "order.placed", Reason: "upgrade", By: "ada"})
	must(t, err)
	pauses := decode[PauseList](t, r.get(t, "/v1/groups/billing/pauses"))
	if len(pauses.Pauses) != 1 || pauses.Pauses[0].By != "ada" || pauses.Pauses[0].Revision == 0 || !strings.Contains(pauses.Pauses[0].Text, "upgrade") {
		t.Errorf("pauses: %+v", pauses)
	}
	limits := decode[LimitList](t, r.get(t, "/v1/groups/billing/limits"))
	if limits.Limits[0].State != "paused" || !strings.Contains(limits.Limits[0].Why, "upgrade") {
		t.Errorf("what holds the subscription back: %+v", limits)
	}
	if body := r.get(t, "/v1/groups/billing/pauses").body; !strings.Contains(body, `"revision":"`) {
		t.Errorf("a revision, which has 64 bits, is no text: %s", body)
	}
}

// What is not there is a problem that says so, and no empty answer.
func TestUnknownNamesAreProblems(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startWorker(t, nil)
	for path, says := range map[string]string{
		"/v1/groups/nobody":                                           "nobody",
		"/v1/groups/nobody/members":                                   "nobody",
		"/v1/groups/nobody/limits":                                    "nobody",
		"/v1/groups/nobody/pauses":                                    "nobody",
		"/v1/groups/nobody/lag":                                       "nobody",
		"/v1/groups/billing/lag?topic=other":                          "not subscribed",
		"/v1/groups/nobody/dead-letters":                              "dead.nobody",
		"/v1/groups/nobody/dead-letter-errors":                        "dead.nobody",
		"/v1/groups/billing/dead-letters?dead_letter=elsewhere":       "elsewhere",
		"/v1/groups/billing/dead-letters/17":                          "17",
		"/v1/replay?topic=nowhere":                                    "no stream",
		"/v1/export?topic=nowhere":                                    "no stream",
		"/v1/outbox":                                                  "no outbox",
		"/v1/groups/billing/story?topic=order.placed&sequence=471100": "",
		"/v1/nothing":                                                 "/openapi.json",
	} {
		refuses(t, r.get(t, path), http.StatusNotFound, says)
	}
	a := r.send(t, http.MethodPatch, "/v1/groups", "{}")
	refuses(t, a, http.StatusMethodNotAllowed, "GET")
	if allow := a.header.Get("Allow"); !slices.Contains(strings.Split(allow, ", "), "GET") {
		t.Errorf("Allow: %q", allow)
	}
}
