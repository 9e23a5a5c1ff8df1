package jetstream

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// openSource makes a stream and a source on it.
func openSource(t *testing.T, o *Options) (*Bus, *Source) {
	t.Helper()
	nc := natstest.Start(t, nil).Connect(t)
	o.Logger, o.Provision = slog.New(slog.DiscardHandler), &Provision{Name: "orders"}
	b, err := New(nc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	src, err := b.Subscribe(t.Context(), "orders.new", "g", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close(context.Background()) }) // It may be lost by then.
	return b, src.(*Source)
}

func put(t *testing.T, b *Bus, id string) {
	t.Helper()
	if _, err := b.Publish(t.Context(), bus.Event{ID: id, Topic: "orders.new"}); err != nil {
		t.Fatal(err)
	}
}

// get fetches until n deliveries came.
func get(t *testing.T, s *Source, n int) (ds []*bus.Delivery) {
	t.Helper()
	for limit := time.Now().Add(15 * time.Second); len(ds) < n; {
		got, err := s.Fetch(t.Context(), n-len(ds))
		if err != nil || time.Now().After(limit) {
			t.Fatalf("%d deliveries came, then: %v; want %d; healthy: %v", len(ds), err, n, s.Healthy())
		}
		ds = append(ds, got...)
	}
	return ds
}

// A pull whose answer goes nowhere is noticed, and the inbox is subscribed again.
func TestDeadInboxIsReplaced(t *testing.T) {
	t.Parallel()
	b, s := openSource(t, &Options{CheckInterval: time.Hour})
	dead := s.inbox.Load()
	dead.close()
	put(t, b, "1")
	get(t, s, 1)
	if s.inbox.Load() == dead {
		t.Error("the inbox is still the dead one")
	}
}

// A pull that was sent just before its inbox was replaced is answered all the same.
func TestPullOutlivesItsInbox(t *testing.T) {
	t.Parallel()
	b, s := openSource(t, &Options{CheckInterval: time.Hour})
	if err := s.requestDeliveries(1); err != nil {
		t.Fatal(err)
	}
	inbox := s.inbox.Load()
	s.resubscribeInbox(nil)
	put(t, b, "1")
	select {
	case m := <-s.incoming:
		// The event, or, on a very slow machine, the end of the pull: nothing else was asked for.
		if s.readMessage(m, &fetchedBatch{}); s.pulling.requested != 0 || m.Sub != inbox.sub {
			t.Errorf("owed %d after %q on %q; want nothing, from the inbox before", s.pulling.requested, m.Subject, m.Sub.Subject)
		}
	case <-time.After(pullExpires + pullGrace):
		t.Error("the pull was not answered")
	}
}

// A pull that got lost, as happens when the consumer's leader changes, does not slow down what
// comes after it, though every later pull is served; and the inbox, which is alive, stays.
func TestLostPullDoesNotSlowDownLaterOnes(t *testing.T) {
	t.Parallel()
	b, s := openSource(t, &Options{CheckInterval: time.Hour})
	const events = 60
	for i := range events {
		put(t, b, fmt.Sprint(i))
	}
	inbox := s.inbox.Load()
	get(t, s, 1)
	s.pulling.addPull(2, time.Now().Add(pullExpires+pullGrace))
	begun := time.Now()
	for n := 1; n < events; { // As a worker does with eight slots: it asks for two while six are handled.
		for _, limit := range []int{8, 2} {
			ds, err := s.Fetch(t.Context(), limit)
			if err != nil {
				t.Fatal(err)
			}
			n += len(ds)
		}
		if d := time.Since(begun); d > 6*time.Second {
			t.Fatalf("%d of %d events came in %v; owed %d", n, events, d, s.pulling.requested)
		}
	}
	if s.inbox.Load() != inbox {
		t.Error("the inbox was replaced")
	}
}

func TestStallIsReportedAndCleared(t *testing.T) {
	t.Parallel()
	b, s := openSource(t, &Options{})
	info, w := &jetstream.ConsumerInfo{NumPending: 7}, &consumerMonitor{quietSince: time.Now().Add(-time.Minute)}
	before := s.inbox.Load()
	if again := s.diagnoseSilence(info, w, true); again != recheckDelay || s.Healthy() != nil {
		t.Fatalf("the first look: again in %v, healthy: %v; want it soon, and no verdict", again, s.Healthy())
	}
	s.diagnoseSilence(info, w, true)
	if err := s.Healthy(); err == nil || !strings.Contains(err.Error(), "7 events are pending") {
		t.Errorf("Healthy: %v; want the pending events", err)
	}
	if s.inbox.Load() == before {
		t.Error("the inbox was not replaced")
	}
	put(t, b, "1")
	get(t, s, 1)
	if err := s.Healthy(); err != nil {
		t.Errorf("Healthy after a delivery: %v", err)
	}
}

// TestInfoClearsAPauseThatIsOver: what the server says now counts, and other trouble stays.
func TestInfoClearsAPauseThatIsOver(t *testing.T) {
	t.Parallel()
	_, s := openSource(t, &Options{CheckInterval: time.Hour})
	for text, info := range map[string]*jetstream.ConsumerInfo{
		"is paused": {Paused: true, PauseRemaining: time.Hour},
		"its limit": {NumAckPending: 1, Config: jetstream.ConsumerConfig{MaxAckPending: 1}},
	} {
		s.diagnoseSilence(info, &consumerMonitor{}, true)
		if err := s.Healthy(); err == nil || !strings.Contains(err.Error(), text) {
			t.Fatalf("Healthy: %v; want %q", err, text)
		}
		if _, err := s.Info(t.Context()); err != nil {
			t.Fatal(err)
		}
		if healthy := s.Healthy() == nil; healthy != info.Paused {
			t.Errorf("%q, and the server does not pause it: Healthy: %v", text, s.Healthy())
		}
	}
}

// unhealthy fetches until the source tells what is wrong.
func unhealthy(t *testing.T, s *Source, want string) {
	t.Helper()
	for limit := time.Now().Add(15 * time.Second); ; {
		if err := s.Healthy(); err != nil && strings.Contains(err.Error(), want) {
			return
		}
		if ds, err := s.Fetch(t.Context(), 5); len(ds) > 0 || err != nil || time.Now().After(limit) {
			t.Fatalf("Fetch: %d deliveries, %v, healthy: %v; want %q", len(ds), err, s.Healthy(), want)
		}
	}
}

func TestHealthyTellsWhyNothingComes(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	t.Run("the limit of unsettled deliveries", func(t *testing.T) {
		t.Parallel()
		b, s := openSource(t, &Options{MaxUnsettled: 2, CheckInterval: interval})
		put(t, b, "1")
		put(t, b, "2")
		put(t, b, "3")
		ds := get(t, s, 2)
		unhealthy(t, s, "has 2 unsettled deliveries")
		if err := ds[0].Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		get(t, s, 1)
		if err := s.Healthy(); err != nil {
			t.Errorf("Healthy after a delivery: %v", err)
		}
	})
	t.Run("a pause on the server", func(t *testing.T) {
		t.Parallel()
		b, s := openSource(t, &Options{CheckInterval: interval})
		if _, err := b.js.PauseConsumer(t.Context(), "orders", s.consumer, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		put(t, b, "1")
		unhealthy(t, s, "is paused")
		if _, err := b.js.ResumeConsumer(t.Context(), "orders", s.consumer); err != nil {
			t.Fatal(err)
		}
		get(t, s, 1)
	})
	t.Run("a delivery limit that somebody set", func(t *testing.T) {
		t.Parallel()
		b, s := openSource(t, &Options{CheckInterval: interval})
		info, err := b.consumerInfo(t.Context(), "orders", s.consumer)
		if err != nil {
			t.Fatal(err)
		}
		info.Config.MaxDeliver = 3
		if _, err := b.js.UpdateConsumer(t.Context(), "orders", info.Config); err != nil {
			t.Fatal(err)
		}
		unhealthy(t, s, "delivery limit is 3")
	})
}

// An event that another sequence's bytes came under before is noticed without asking.
func TestReusedSequence(t *testing.T) {
	t.Parallel()
	var r recentSequences
	for _, a := range []deliveryInfo{{1, 5, 100}, {2, 5, 100}, {1, 5 + uint64(len(r)), 200}, {3, 5, 100}} {
		if r.wasReused(a) {
			t.Errorf("%+v counts as reused", a)
		}
	}
	if !r.wasReused(deliveryInfo{1, 5, 101}) {
		t.Error("sequence 5 with another time is not reused")
	}
}

func TestLatestWithoutATime(t *testing.T) {
	t.Parallel()
	created := time.Unix(1000, 0)
	info := &jetstream.StreamInfo{Created: created, State: jetstream.StreamState{FirstSeq: 8, LastSeq: 7}}
	if at := startPosition(info, bus.Start{Latest: true}); at.Sequence != 7 || !at.Stored.Equal(created) {
		t.Errorf("start %+v; want sequence 7, stored no later than the next event", at)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	if _, err := New(nil, nil); err == nil {
		t.Error("New took no connection")
	}
	s := natstest.Start(t, nil)
	for _, tt := range []struct {
		option nats.Option
		warns  bool
	}{{nats.MaxReconnects(60), true}, {nats.MaxReconnects(-1), false}, {nats.NoReconnect(), true}} {
		var log bytes.Buffer
		b, err := New(s.Connect(t, tt.option), &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		if warned := strings.Contains(log.String(), "MaxReconnects"); warned != tt.warns {
			t.Errorf("logged %q; want a warning: %v", &log, tt.warns)
		}
	}
	if _, err := New(s.Connect(t), &Options{MaxUnsettled: -1}); err == nil {
		t.Error("New took invalid options")
	}
}

func TestDomainAndPrefix(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	for want, o := range map[string]Options{
		"$JS.API.": {}, "$JS.hub.API.": {Domain: "hub"}, "imported.API.": {APIPrefix: "imported.API"}, "dot.": {APIPrefix: "dot."},
	} {
		b, err := New(nc, &o)
		if err != nil {
			t.Fatal(err)
		}
		if b.api != want {
			t.Errorf("%+v asks under %q; want %q", o, b.api, want)
		}
		b.Close()
	}
	b, err := New(nc, &Options{Domain: "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Topic(t.Context(), "orders.new", "g", bus.Start{}); err == nil || !strings.Contains(err.Error(), "$JS.nowhere.API.") {
		t.Errorf("Topic: %v; want the prefix under which nothing answers", err)
	}
}

func TestTermReason(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"no use":                             "+TERM no use",
		"a\r\nPUB x":                         "+TERM a  PUB x",
		strings.Repeat("ü", maxReason):       "+TERM " + strings.Repeat("ü", maxReason/2),
		"x" + strings.Repeat("ü", maxReason): "+TERM x" + strings.Repeat("ü", maxReason/2-1),
	} {
		if got := string(termBody(reason)); got != want {
			t.Errorf("term(%.20q) is %.40q (%d bytes); want %.40q (%d)", reason, got, len(got), want, len(want))
		}
	}
}
