package dashboard_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/admin"
)

// startDeferring runs the group "billing" on "order.placed": the first event of a key is handled at
// once, the others in an hour.
func (r *rig) startDeferring(tb testing.TB) (deferred, summed chan string) {
	tb.Helper()
	deferred, summed = make(chan string, 20), make(chan string, 20)
	started := make(chan struct{})
	w, err := worker.New("billing", r.conns, &worker.Options{Logger: slog.New(slog.DiscardHandler), Started: func() { close(started) }})
	must(tb, err)
	w.HandleDeferred("order.placed", func(context.Context, bus.Event) error { return nil }, nil, worker.Deferral{
		Config: deferral.Config{Rate: flow.Rate{Limit: 1, Per: time.Hour, Strategy: flow.FixedWindow}, Interval: time.Hour},
		Handler: func(_ context.Context, key string, es []bus.Event) error {
			summed <- fmt.Sprint(key, " ", len(es))
			return nil
		},
		Options: &deferral.Options{Observer: deferralObserver(func(o deferral.Observation) {
			if o.Outcome == deferral.OutcomeDeferred {
				deferred <- o.Key
			}
		})},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		must(tb, <-ended)
	})
	<-started
	return deferred, summed
}

type deferralObserver func(deferral.Observation)

func (f deferralObserver) ObserveDeferral(o deferral.Observation) { f(o) }

// publishDeferred stores three events of a key, and waits until two of them are deferred.
func (r *rig) publishDeferred(tb testing.TB, key string, deferred <-chan string) {
	tb.Helper()
	for i := range 3 {
		_, err := r.conns.Bus().Publish(tb.Context(), bus.Event{ID: fmt.Sprint("order-", i), Topic: "order.placed", Key: key})
		must(tb, err)
	}
	for range 2 {
		<-deferred
	}
}

// What a group has deferred is listed by key, and is summed up when it is flushed with a reason.
func TestDeferredEventsAreShownAndFlushed(t *testing.T) {
	r := newRig(t, rigOptions{})
	deferred, summed := r.startDeferring(t)
	r.publishDeferred(t, "customer-7", deferred)
	p := openTab(t, r.url)
	p.press("billing")
	p.sees("Deferred: deferred.billing")
	p.press("Look at deferred.billing")
	p.sees("2 events of 1 key", "customer-7")
	p.press("Flush…")
	p.sees("Flush deferred.billing")
	p.fill("Reason", "the shift ends")
	p.press("Flush")
	p.sees("Summaries of what waits on deferred.billing are due now.")
	if got := <-summed; got != "customer-7 2" {
		t.Errorf("summed up %q, want customer-7 with 2 events", got)
	}
}

// Who may only read sees what is deferred, and cannot flush it.
func TestReadersCannotFlush(t *testing.T) {
	r := newRig(t, rigOptions{Options: admin.Options{ReadOnly: true}})
	deferred, _ := r.startDeferring(t)
	r.publishDeferred(t, "customer-7", deferred)
	p := openTab(t, r.url)
	p.press("billing")
	p.press("Look at deferred.billing")
	p.sees("customer-7")
	p.await(`!shows("Flush…")`)
}
