package acceptance

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe/dedupetest"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/faulty"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// setup is how a subscription in the test's own process differs from the usual one.
type setup struct {
	Name    string           // in the journal; "local"
	NATS    string           // URL; the rig's
	Connect []nats.Option    // beside the usual ones
	Bus     *natsbus.Options // defaults
	Mongo   string           // URI; the rig's
	KV      *kvdedupe.Options
	Plan    faulty.Plan      // nothing goes wrong
	Topic   string           // order.placed
	Group   string           // billing
	Handler consumer.Handler // does what the event's data says
	Options consumer.Options // what is zero is as in a worker process
}

// local is a subscription in the test's own process, with clients of its own.
type local struct {
	*consumer.Subscription

	store dedupetest.Inner
}

// subscribe subscribes until the test ends.
func (r *rig) subscribe(s setup) *local {
	r.t.Helper()
	s.Name = cmp.Or(s.Name, "local")
	nc := natstest.Connect(r.t, cmp.Or(s.NATS, r.url), s.Connect...)
	l := &local{store: r.open(nc, s)}
	bo := natsbus.Options{}
	if s.Bus != nil {
		bo = *s.Bus
	}
	bo.Logger, bo.APITimeout = r.logger(), patience/8 // a cluster on a loaded machine takes its time to elect leaders
	b, err := natsbus.New(nc, &bo)
	must(r.t, err)
	r.t.Cleanup(b.Close)
	if s.Plan == nil {
		s.Plan = func(faulty.Call) faulty.Fault { return faulty.Fault{} }
	}
	if s.Handler == nil {
		s.Handler = func(ctx context.Context, e bus.Event) error { return perform(ctx, e, s.Name, r.ledger.say) }
	}
	l.Subscription, err = consumer.SubscribeExactlyOnce(context.WithoutCancel(r.t.Context()), bustest.Faulty(b, s.Plan),
		cmp.Or(s.Topic, "order.placed"), cmp.Or(s.Group, "billing"), dedupetest.Faulty(l.store, s.Plan), s.Handler, s.options(r))
	must(r.t, err)
	r.t.Cleanup(func() { _ = l.Drain(context.Background()) }) // A test that wants no error asks for it itself.
	return l
}

// longLeases are for tests in which no lease ends: they have the default of 30 s, which outlasts
// the hiccups of a loaded machine.
var longLeases = consumer.Options{Lease: 30 * time.Second, AckWait: 30 * time.Second}

func (s *setup) options(r *rig) *consumer.Options {
	o := s.Options
	o.Concurrency = cmp.Or(o.Concurrency, 8)
	o.Lease, o.AckWait = cmp.Or(o.Lease, lease), cmp.Or(o.AckWait, lease)
	o.Backoff.Base = cmp.Or(o.Backoff.Base, 10*time.Millisecond)
	o.MaxAttempts = cmp.Or(o.MaxAttempts, 3)
	o.DeadLetter = cmp.Or(o.DeadLetter, "dead.billing")
	o.Logger = r.logger()
	return &o
}

// logger writes to what is shown of a test that failed.
func (r *rig) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(r.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (r *rig) open(nc *nats.Conn, s setup) dedupetest.Inner {
	r.t.Helper()
	if r.mongo == "" {
		o := kvdedupe.Options{}
		if s.KV != nil {
			o = *s.KV
		}
		o.Logger = r.logger()
		store, err := kvdedupe.New(r.t.Context(), nc, &o)
		must(r.t, err)
		r.t.Cleanup(func() { _ = store.Close() }) // It ends with its connection at the latest.
		return store
	}
	client, err := mongo.Connect(options.Client().ApplyURI(cmp.Or(s.Mongo, r.mongo)).
		SetServerSelectionTimeout(2 * time.Second).SetConnectTimeout(2 * time.Second).SetHeartbeatInterval(500 * time.Millisecond))
	must(r.t, err)
	r.t.Cleanup(func() { must(r.t, client.Disconnect(context.Background())) })
	store, err := mongodedupe.New(r.t.Context(), client.Database(r.db).Collection("dedupe"), &mongodedupe.Options{Timeout: patience / 8})
	must(r.t, err)
	return store
}

// ended drains the subscription, which must leave nothing behind.
func (r *rig) ended(l *local) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(r.t, l.Drain(ctx))
}

// proxied starts a proxy to where a URL leads, and returns it with the URL that leads through it.
func proxied(t *testing.T, to string) (*proxy.Proxy, string) {
	t.Helper()
	u, err := url.Parse(to)
	must(t, err)
	p, err := proxy.New(u.Host)
	must(t, err)
	t.Cleanup(p.Close)
	u.Host = p.Addr()
	if u.Scheme == "mongodb" {
		q := u.Query()
		q.Set("directConnection", "true") // or a replica set would tell the way around
		u.RawQuery = q.Encode()
	}
	return p, u.String()
}

// many are n events of ids prefix0, prefix1, …
func many(prefix string, n int, steps ...string) []bus.Event {
	var es []bus.Event
	for i := range n {
		es = append(es, event(fmt.Sprint(prefix, i), steps...))
	}
	return es
}

// load publishes events in the background, a few at a time and each until the bus has confirmed it,
// and returns what waits for the end of it.
func (r *rig) load(es []bus.Event) (wait func()) {
	done := make(chan struct{})
	ctx := r.t.Context()
	go func() {
		defer close(done)
		for len(es) > 0 && ctx.Err() == nil {
			n := min(len(es), 20)
			receipts, _ := r.bus.Publish(ctx, es[:n]...) // What failed is tried again.
			var again []bus.Event
			for i := range receipts {
				if receipts[i].Err != nil {
					again = append(again, es[i])
				}
			}
			es = append(again, es[n:]...)
		}
	}()
	return func() {
		r.t.Helper()
		select {
		case <-done:
		case <-time.After(patience):
			r.t.Fatalf("events are not published after %v", patience)
		}
	}
}

// eventually polls for what nobody tells.
func (r *rig) eventually(what string, is func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if !watch(ctx, is) {
		r.t.Fatalf("after %v it has not come to this: %s", patience, what)
	}
}

// watch looks until it is so; false: the context ended before. It rests four times as long as a
// look took, so that looking does not slow down what it looks at.
func watch(ctx context.Context, is func() bool) bool {
	for {
		begun := time.Now()
		if is() {
			return true
		}
		rest := time.NewTimer(max(10*time.Millisecond, 4*time.Since(begun)))
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return false
		}
	}
}

// once checks that each of n events had its effect, and not twice.
func (r *rig) once(prefix string, n int) {
	r.t.Helper()
	effects := r.effects(prefix)
	if len(effects) != n {
		r.t.Errorf("%d of %d events %q had their effect", len(effects), n, prefix)
	}
	for id, times := range effects {
		if times != 1 {
			r.t.Errorf("event %s had its effect %d times", id, times)
		}
	}
}

// onceAnd checks that each of n events had its effect, and again only for each time that its
// handler was cancelled.
func (r *rig) onceAnd(prefix string, n int) {
	r.t.Helper()
	effects := r.effects(prefix)
	if len(effects) != n {
		r.t.Errorf("%d of %d events %q had their effect", len(effects), n, prefix)
	}
	for id, times := range effects {
		if cancelled := r.ledger.count("cancelled", "", id); times != 1+cancelled {
			r.t.Errorf("event %s had its effect %d times, and was cancelled %d times", id, times, cancelled)
		}
	}
}

// js is for what only operators do.
func (r *rig) js() jetstream.JetStream {
	r.t.Helper()
	js, err := jetstream.New(r.nc)
	must(r.t, err)
	return js
}

// consumer is the state of the group's consumer.
func (r *rig) consumer(group, topic string) *jetstream.ConsumerInfo {
	r.t.Helper()
	c, err := r.js().Consumer(r.t.Context(), r.stream(topic), natsbus.ConsumerName(group, topic))
	must(r.t, err)
	return c.CachedInfo()
}
