package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/worker"
)

// startDeferring runs the group "billing" on the topic "order.placed", of whose events the first of
// a key is handled at once, and the others in an hour. It sends what is summed up.
func (r *rig) startDeferring(tb testing.TB, deferred, summed chan<- string) {
	tb.Helper()
	started := make(chan struct{})
	w, err := worker.New("billing", r.conns, &worker.Options{Logger: slog.New(slog.DiscardHandler), Started: func() { close(started) }})
	must(tb, err)
	w.HandleDeferred("order.placed", func(context.Context, bus.Event) error { return nil }, nil, worker.Deferral{
		Config: deferral.Config{Rate: flow.Rate{Limit: 1, Per: time.Hour, Strategy: flow.FixedWindow}, Interval: time.Hour},
		Handler: func(_ context.Context, key string, es []bus.Event) error {
			summed <- fmt.Sprint(key, len(es))
			return nil
		},
		Options: &deferral.Options{Observer: deferralObserver(func(o deferral.Observation) {
			if o.Outcome == deferral.OutcomeDeferred {
				deferred <- o.Key
			}
		})},
	})
	ctx, cancel := context.WithCancel(tb.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		must(tb, <-ended)
	})
	<-started
}

type deferralObserver func(deferral.Observation)

func (f deferralObserver) ObserveDeferral(o deferral.Observation) { f(o) }

// What waits for its summary is listed by key, and is summed up when it is flushed.
func TestDeferredEventsAreListedAndFlushed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	deferred, summed := make(chan string, 20), make(chan string, 20)
	r.startDeferring(t, deferred, summed)
	r.publishKeys(t, "order.placed", "a", "a", "a", "b", "b", "c")
	for range 3 {
		<-deferred
	}
	list := decode[DeferredList](t, r.get(t, "/v1/groups/billing/deferred"))
	if list.Topic != "deferred.billing" || list.Count != 2 || list.Events != 3 || len(list.Keys) != 2 {
		t.Fatalf("%+v, want 3 events of 2 keys", list)
	}
	for _, k := range list.Keys {
		if want := map[string]int{"a": 2, "b": 1}[k.Key]; k.Events != want || time.Since(k.Oldest) > 10*time.Minute || k.Oldest.IsZero() {
			t.Errorf("key %q: %+v, want %d events of now", k.Key, k, want)
		}
	}
	one := decode[DeferredList](t, r.get(t, "/v1/groups/billing/deferred?limit=1&topic=deferred.billing"))
	if len(one.Keys) != 1 || one.Keys[0] != list.Keys[0] || one.Count != 2 || one.Events != 3 {
		t.Errorf("one key: %+v", one)
	}

	result := decode[FlushResult](t, r.send(t, http.MethodPost, "/v1/groups/billing/deferred/flush", `{"reason":"on call ends","by":"ada"}`))
	if result.Topic != "deferred.billing" {
		t.Errorf("flushed %+v", result)
	}
	if got := map[string]bool{<-summed: true, <-summed: true}; !got["a2"] || !got["b1"] {
		t.Errorf("summaries %v, want that of a with 2 events and of b with 1", got)
	}
	if log := r.log.String(); !strings.Contains(log, "change=flush-deferred") || !strings.Contains(log, "by=ada") || !strings.Contains(log, "on call ends") {
		t.Errorf("the log does not say who flushed, and why: %s", log)
	}
}

func TestDeferredEventsOfNobodyAreAProblem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startWorker(t, nil)
	why := `{"reason":"test"}`
	refuses(t, r.get(t, "/v1/groups/nobody/deferred"), http.StatusNotFound, "nobody")
	refuses(t, r.get(t, "/v1/groups/billing/deferred"), http.StatusNotFound, "deferred nothing yet")
	refuses(t, r.get(t, "/v1/groups/billing/deferred?topic=a.*"), http.StatusUnprocessableEntity, "topic")
	refuses(t, r.get(t, "/v1/groups/billing/deferred?limit=0"), http.StatusUnprocessableEntity, "limit")
	refuses(t, r.send(t, http.MethodPost, "/v1/groups/billing/deferred/flush", why), http.StatusNotFound, "deferred nothing yet")
	refuses(t, r.send(t, http.MethodPost, "/v1/groups/nobody/deferred/flush", why), http.StatusNotFound, "nobody")
	refuses(t, r.send(t, http.MethodPost, "/v1/groups/billing/deferred/flush", `{}`), http.StatusUnprocessableEntity, "reason")
}
