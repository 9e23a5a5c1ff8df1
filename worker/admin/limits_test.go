package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/view"
)

// startSharing runs the group "billing" on topics with rates that its processes share, until the
// test ends.
func (r *rig) startSharing(t *testing.T, handled chan<- string, rates map[string]*config.Rate) {
	t.Helper()
	started := make(chan struct{})
	w, err := worker.New("billing", r.conns, &worker.Options{Logger: slog.New(slog.DiscardHandler), Started: func() { close(started) }})
	must(t, err)
	for topic, rate := range rates {
		s := &config.Subscription{Topic: topic, Rate: rate, Concurrency: config.Concurrency{Min: 8, Max: 8}}
		o, err := w.ConfiguredOptions(t.Context(), s)
		must(t, err)
		w.Handle(topic, func(_ context.Context, e bus.Event) error {
			handled <- e.ID
			return nil
		}, o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	<-started
}

// publishKeys stores an event of a topic for each key.
func (r *rig) publishKeys(t *testing.T, topic string, keys ...string) {
	t.Helper()
	for i, key := range keys {
		_, err := r.conns.Bus().Publish(t.Context(), bus.Event{ID: fmt.Sprintf("%s-%d", topic, i), Topic: topic, Key: key})
		must(t, err)
	}
}

// What is shared is shown as its store counts it, in NATS and in MongoDB: page by page, for each
// key of each topic.
func TestSharedLimitsAreShownAsTheStoreCountsThem(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(*testing.T) string{
		"NATS": func(*testing.T) string { return "" },
		"MongoDB": func(t *testing.T) string {
			t.Helper()
			return strings.TrimSuffix(mongotest.URI(t), "/") + "/" + mongotest.Database(t).Name()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, connect(t, worker.ConnectOptions{Store: store(t)}), Options{})
			handled := make(chan string, 10)
			hourly := &config.Rate{Limit: config.Starts{Count: 5, Per: time.Hour}, By: "key", Shared: true, Strategy: flow.SlidingLog, OnOutage: flow.FailClosed}
			r.startSharing(t, handled, map[string]*config.Rate{
				"order.placed": hourly,
				"order.paid":   {Limit: config.Starts{Count: 100}, Burst: 7, Shared: true, OnOutage: flow.FailClosed},
			})
			reportNow(t, r)
			before := decode[SharedLimitPage](t, r.get(t, "/v1/groups/billing/limits/shared"))
			if len(before.Limits) != 0 || before.Next != "" {
				t.Errorf("before anything has started: %+v", before)
			}
			r.publishKeys(t, "order.paid", "x")
			r.publishKeys(t, "order.placed", "a", "b", "a", "c/ü.*")
			for range 5 {
				<-handled
			}
			limits := r.pageSharedLimits(t, 1)
			paid, placed := limits["order.paid"], limits["order.placed"]
			if k := paid["order.paid"]; len(paid) != 1 || k.Limit != 100 || k.PerSeconds != 1 || k.Burst != 7 || k.Strategy != "token-bucket" {
				t.Errorf("by topic: %+v", paid)
			}
			for key, used := range map[string]int{"a": 2, "b": 1, "c/ü.*": 1} {
				k := placed[key]
				reset, err := time.Parse(time.RFC3339, k.ResetAt)
				must(t, err)
				if d := time.Until(reset); k.Used < used || k.Remaining != 5-k.Used || k.Limit != 5 || k.PerSeconds != 3600 || k.Strategy != "sliding-log" || d < 30*time.Minute || d > 61*time.Minute {
					t.Errorf("key %q: %+v, want %d used", key, k, used)
				}
			}
			one := decode[SharedLimitPage](t, r.get(t, "/v1/groups/billing/limits/shared?topic=order.placed"))
			if len(placed) != 3 || len(one.Limits) != 1 || len(one.Limits[0].Keys) != 3 || one.Next != "" || one.Limits[0].Members != 1 {
				t.Errorf("of one topic: %+v", one)
			}
		})
	}
}

// pageSharedLimits reads pages of so many keys, and returns the keys of each topic.
func (r *rig) pageSharedLimits(t *testing.T, size int) map[string]map[string]view.LimitKey {
	t.Helper()
	limits := make(map[string]map[string]view.LimitKey)
	for after, more := "", true; more; {
		page := decode[SharedLimitPage](t, r.get(t, fmt.Sprintf("/v1/groups/billing/limits/shared?limit=%d&after=%s", size, url.QueryEscape(after))))
		n := 0
		for _, l := range page.Limits {
			if limits[l.Topic] == nil {
				limits[l.Topic] = make(map[string]view.LimitKey)
			}
			for _, k := range l.Keys {
				if _, twice := limits[l.Topic][k.Key]; twice || n == size {
					t.Fatalf("the key %q of %q again, or on a page that is full", k.Key, l.Topic)
				}
				limits[l.Topic][k.Key] = k
				n++
			}
		}
		after, more = page.Next, page.Next != ""
	}
	return limits
}

// A question for shared limits that makes no sense is a problem; who shares nothing has none.
func TestSharedLimitsRefuseWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startWorker(t, nil)
	reportNow(t, r)
	if page := decode[SharedLimitPage](t, r.get(t, "/v1/groups/billing/limits/shared")); page.Limits == nil || len(page.Limits) != 0 {
		t.Errorf("nothing is shared: %+v", page)
	}
	refuses(t, r.get(t, "/v1/groups/nobody/limits/shared"), http.StatusNotFound, "nobody")
	refuses(t, r.get(t, "/v1/groups/billing/limits/shared?topic=other"), http.StatusNotFound, "not subscribed")
	refuses(t, r.get(t, "/v1/groups/billing/limits/shared?after=x!"), http.StatusUnprocessableEntity, "next of the page before")
	refuses(t, r.get(t, "/v1/groups/billing/limits/shared?limit=101"), http.StatusUnprocessableEntity, "limit")
}
