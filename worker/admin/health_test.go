package admin

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
)

type natsOptions = server.Options

// Liveness fails while a restart would help, and names no topic to those without a token.
func TestLivenessFailsWhileARestartWouldHelp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.api.o.Stalled = func() error { return errors.New("all slots of the subscription to order.placed are held") }
	if a := r.get(t, "/livez"); a.status != http.StatusServiceUnavailable || a.body != "no progress: /readyz?verbose says why\n" {
		t.Errorf("stalled: %d %s", a.status, a.body)
	}
	r.api.o.Stalled = func() error { return nil }
	if a := r.get(t, "/livez"); a.status != http.StatusOK {
		t.Errorf("not stalled: %d %s", a.status, a.body)
	}
}

// Readiness has a line for each check.
func TestReadinessHasALineForEachCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before := r.get(t, "/readyz?verbose")
	if before.status != http.StatusOK || !strings.Contains(before.body, "[+]store ok: there are no marks yet\n") {
		t.Errorf("before the group runs: %d %s", before.status, before.body)
	}
	r.startWorker(t, nil)
	r.publish(t, "order.placed", "bad1")
	r.awaitLetters(t, 1)
	r.api.readiness.Store(nil) // as after a second
	a := r.get(t, "/readyz?verbose")
	for _, line := range []string{
		"[+]nats ok\n", "[+]store ok\n", "[+]streams ok: group \"billing\" consumes from 1\n", "[+]dead letters ok: there are some, the oldest since 20",
		"[+]progress ok\n", "[+]outbox ok: there is none\n", "[+]not draining ok\n",
	} {
		if !strings.Contains(a.body, line) {
			t.Errorf("there is no %q in %s", line, a.body)
		}
	}
	if a.status != http.StatusOK || !strings.HasSuffix(a.body, "\nok\n") {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// A server that is gone makes the process unready, and it stays alive.
func TestReadinessFailsWithoutItsServer(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, nil)
	r := serve(t, connect(t, worker.ConnectOptions{NATS: srv.URL()}), Options{})
	srv.Stop()
	a := r.get(t, "/readyz?verbose")
	if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "[-]nats failed: ") || !strings.HasSuffix(a.body, "\nnot ready\n") {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if a := r.get(t, "/readyz"); a.status != http.StatusServiceUnavailable || a.body != "not ready\n" {
		t.Errorf("for probes: %d %q", a.status, a.body)
	}
	if a := r.get(t, "/livez"); a.status != http.StatusOK {
		t.Errorf("alive: %d %q", a.status, a.body)
	}
	srv.Start(t)
}

// A process that was told to end is unready at once, before anything of it has stopped.
func TestReadinessFailsWhileDraining(t *testing.T) {
	t.Parallel()
	told := make(chan struct{})
	r := inMemory(t, Options{Draining: told})
	if a := r.get(t, "/readyz"); a.status != http.StatusOK {
		t.Fatalf("before: %d %q", a.status, a.body)
	}
	close(told)
	if a := r.get(t, "/readyz?verbose"); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "[-]not draining failed") {
		t.Errorf("told to end: %d %q", a.status, a.body)
	}
	if a := r.get(t, "/v1/groups/g"); a.status == http.StatusServiceUnavailable {
		t.Errorf("nothing else is answered: %s", a.body)
	}
	drained := inMemory(t, Options{})
	drained.api.Drain()
	if a := drained.get(t, "/readyz"); a.status != http.StatusServiceUnavailable {
		t.Errorf("drained: %d %q", a.status, a.body)
	}
}

// A topic makes no progress where every process of it is unhealthy.
func TestProgressFailsWhereNobodyMakesAny(t *testing.T) {
	t.Parallel()
	member := func(state string) group.Member {
		return group.Member{Subscriptions: []group.Subscription{{Topic: "t", State: state, Why: "no pulls"}}}
	}
	if err := unhealthyTopics([]group.Member{member("unhealthy"), member("running")}); err != nil {
		t.Errorf("one is well: %v", err)
	}
	if err := unhealthyTopics([]group.Member{member("unhealthy"), member("unhealthy")}); err == nil || !strings.Contains(err.Error(), "no pulls") {
		t.Errorf("none is well: %v", err)
	}
	if err := unhealthyTopics(nil); err != nil {
		t.Errorf("nobody is there: %v", err)
	}
}
