package jetstream_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

var name = natsbus.ConsumerName(group, topic)

func (w *world) consumer(t *testing.T) *jetstream.ConsumerInfo {
	t.Helper()
	c, err := w.js.Consumer(t.Context(), stream, name)
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo()
}

// makeConsumer makes the group's consumer as somebody else would.
func (w *world) makeConsumer(t *testing.T, change func(*jetstream.ConsumerConfig)) {
	t.Helper()
	c := jetstream.ConsumerConfig{
		Durable: name, FilterSubject: topic, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1, MaxAckPending: 100,
	}
	change(&c)
	if _, err := w.js.CreateConsumer(t.Context(), stream, c); err != nil {
		t.Fatal(err)
	}
}

func TestConsumerIsMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.subscribe(t, &bus.SubscribeOptions{AckWait: 7 * time.Second})
	c := w.consumer(t).Config
	if c.AckPolicy != jetstream.AckExplicitPolicy || c.MaxDeliver != -1 || c.MaxAckPending != 20_000 ||
		c.FilterSubject != topic || c.AckWait != 7*time.Second || c.DeliverPolicy != jetstream.DeliverAllPolicy {
		t.Errorf("config %+v", c)
	}
}

// Of a consumer that exists, what is ours is set, and nothing else is touched.
func TestConsumerIsUpdated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	start := time.Now().Add(-time.Hour).UTC()
	w.makeConsumer(t, func(c *jetstream.ConsumerConfig) {
		c.Description, c.Metadata = "theirs", map[string]string{"owner": "them"}
		c.MaxRequestBatch, c.MaxWaiting = 7, 99
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &start
		c.FilterSubject, c.FilterSubjects = "", []string{"orders.old", "orders.new"}
		c.MaxDeliver, c.BackOff, c.HeadersOnly = 3, []time.Duration{time.Second}, true
	})
	src := w.subscribe(t, &bus.SubscribeOptions{From: bus.Start{Latest: true}})
	c := w.consumer(t).Config
	if c.MaxDeliver != -1 || c.MaxAckPending != 20_000 || c.FilterSubject != topic || len(c.FilterSubjects) > 0 ||
		c.AckWait != bus.DefaultAckWait || len(c.BackOff) > 0 || c.HeadersOnly {
		t.Errorf("ours was not set: %+v", c)
	}
	if c.Description != "theirs" || c.Metadata["owner"] != "them" || c.MaxRequestBatch != 7 || c.MaxWaiting != 99 ||
		c.DeliverPolicy != jetstream.DeliverByStartTimePolicy || !c.OptStartTime.Equal(start) {
		t.Errorf("theirs was touched: %+v", c)
	}
	publish(t, w.bus, "1", "2", "3", "4", "5", "6", "7", "8", "9")
	fetch(t, src, 9) // in pulls no larger than allowed
	created := w.consumer(t)
	w.subscribe(t, nil)
	if again := w.consumer(t); !again.Created.Equal(created.Created) {
		t.Error("the consumer was made again")
	}
}

// A server that was restarted answers the first update with another time of creation, which must
// not be taken for another consumer.
func TestConsumerIsUpdatedAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.subscribe(t, nil)
	w.server.Stop()
	w.server.Start(t)
	b := newBus(t, w.server.Connect(t), &natsbus.Options{CheckInterval: 20 * time.Millisecond})
	src := subscribe(t, b, &bus.SubscribeOptions{AckWait: 7 * time.Second})
	for range 3 { // each waits, while the monitor looks at the consumer
		if _, err := src.Fetch(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConsumerThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*jetstream.ConsumerConfig)
		bound  bool // refused only where it may not be changed
		want   string
	}{
		{"ack all", func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckAllPolicy }, false, "ack policy"},
		{"ack none", func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckNonePolicy }, false, "ack"},
		{"a delivery limit", func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 5 }, true, "delivery limit is 5"},
		{"another filter", func(c *jetstream.ConsumerConfig) { c.FilterSubject = "orders.old" }, true, "orders.old"},
		{"no filter", func(c *jetstream.ConsumerConfig) { c.FilterSubject = "" }, true, "filters"},
		{"headers only", func(c *jetstream.ConsumerConfig) { c.HeadersOnly = true }, true, "headers only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.makeConsumer(t, tt.change)
			before := w.consumer(t)
			bound := newBus(t, w.nc, &natsbus.Options{BindOnly: true})
			if _, err := bound.Subscribe(t.Context(), topic, group, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("bound: %v; want an error with %q", err, tt.want)
			}
			if after := w.consumer(t); after.Config.MaxAckPending != before.Config.MaxAckPending {
				t.Error("a consumer that may only be bound to was changed")
			}
			_, err := w.bus.Subscribe(t.Context(), topic, group, nil)
			if (err == nil) != tt.bound {
				t.Errorf("not bound: %v; want success: %v", err, tt.bound)
			}
		})
	}
}

func TestPushConsumerIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	_, err := w.js.CreatePushConsumer(t.Context(), stream, jetstream.ConsumerConfig{Durable: name, DeliverSubject: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.bus.Subscribe(t.Context(), topic, group, nil); err == nil || !strings.Contains(err.Error(), "push consumer") {
		t.Errorf("Subscribe: %v; want that it is a push consumer", err)
	}
}

func TestBindOnlyMakesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := newBus(t, w.nc, &natsbus.Options{BindOnly: true})
	_, err := b.Subscribe(t.Context(), topic, group, nil)
	if err == nil || !strings.Contains(err.Error(), "nats consumer add "+stream+" "+name) {
		t.Errorf("Subscribe: %v; want the command that makes the consumer", err)
	}
	if err := b.Provision(t.Context(), "invoices"); err == nil || !strings.Contains(err.Error(), "BindOnly") {
		t.Errorf("Provision: %v; want BindOnly", err)
	}
}

// A user that may no more than the documentation says can consume.
func TestLockedDownUser(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "admin"},
			{Username: "worker", Password: "worker", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{
					"$JS.API.STREAM.INFO." + stream, "$JS.API.CONSUMER.INFO." + stream + "." + name,
					"$JS.API.CONSUMER.MSG.NEXT." + stream + "." + name, "$JS.ACK." + stream + "." + name + ".>",
				}},
				Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
			}},
		}
	})
	admin := s.Connect(t, nats.UserInfo("admin", "admin"))
	makeStream(t, newJetStream(t, admin), jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.>"}})
	full := newBus(t, admin, nil)
	subscribe(t, full, nil)
	publish(t, full, "1", "2")

	errs := make(chan error, 10)
	nc := s.Connect(t, nats.UserInfo("worker", "worker"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
	b := newBus(t, nc, &natsbus.Options{BindOnly: true, Stream: stream, APITimeout: time.Second})
	if info, err := b.Topic(t.Context(), topic, group, bus.Start{}); err != nil || !info.Known {
		t.Fatalf("Topic: %+v, %v", info, err)
	}
	src := subscribe(t, b, nil)
	ds := fetch(t, src, 2)
	ack(t, ds[0])
	if err := errors.Join(ds[1].Extend(t.Context()), ds[1].Nak(t.Context(), 0)); err != nil {
		t.Fatal(err)
	}
	again := fetch(t, src, 1)
	ack(t, again...)
	eventually(t, "have all settled", func() bool {
		info, err := src.Info(t.Context())
		return err == nil && info.Unsettled == 0 && info.Floor == 2
	})
	if err := src.Close(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case err := <-errs:
		t.Errorf("the server refused something: %v", err)
	default:
	}
	unlisted := newBus(t, nc, &natsbus.Options{BindOnly: true, APITimeout: time.Second})
	if _, err := unlisted.Subscribe(t.Context(), topic, group, nil); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("Subscribe without the permission to list streams: %v; want that named", err)
	}
}

func TestWorkQueueHasOneStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{Name: "work", Subjects: []string{"work"}, Retention: jetstream.WorkQueuePolicy})
	if _, err := w.bus.Subscribe(t.Context(), "work", group, &bus.SubscribeOptions{From: bus.Start{Latest: true}}); err == nil {
		t.Error("a work queue was subscribed from its end")
	}
	src, err := w.bus.Subscribe(t.Context(), "work", group, &bus.SubscribeOptions{Resume: bus.Position{Stored: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSubscribeValidates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for want, call := range map[string]func() error{
		"group is empty": func() error { _, err := w.bus.Subscribe(t.Context(), topic, "", nil); return err },
		"AckWait is -1ns": func() error {
			_, err := w.bus.Subscribe(t.Context(), topic, group, &bus.SubscribeOptions{AckWait: -1})
			return err
		},
		"exclude each other": func() error {
			_, err := w.bus.Subscribe(t.Context(), topic, group, &bus.SubscribeOptions{From: bus.Start{Latest: true, Time: time.Now()}})
			return err
		},
		"empty token": func() error { _, err := w.bus.Topic(t.Context(), "a..b", group, bus.Start{}); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
	for name := range w.stream(t).ConsumerNames(t.Context()).Name() {
		t.Errorf("consumer %q was made", name)
	}
}

// A connection that loses the process, or deliveries, some day is warned of.
func TestDangerousConnectionsAreWarnedOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		options []nats.Option
		want    []string
		ackWait time.Duration
	}{
		"the client's defaults": {options: []nats.Option{nats.MaxReconnects(nats.DefaultMaxReconnect)}, want: []string{"gives up reconnecting", "IgnoreAuthErrorAbort", "frozen"}},
		"ours":                  {options: natsbus.ConnectionOptions(0)},
		"pings for longer ones": {options: natsbus.ConnectionOptions(10 * time.Minute), want: []string{"connect with jetstream.ConnectionOptions for this ack wait"}},
		"too short for any":     {options: natsbus.ConnectionOptions(time.Second), ackWait: time.Second, want: []string{"repeated: raise the ack wait\"", "at_least=3s"}},
	} {
		var log record
		b := newBus(t, w.server.Connect(t, c.options...), &natsbus.Options{Logger: log.logger()})
		if _, err := b.Subscribe(t.Context(), topic, "group "+name, &bus.SubscribeOptions{AckWait: c.ackWait}); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: nothing about %q: %s", name, want, log.String())
			}
		}
		if len(c.want) == 0 && strings.Contains(log.String(), "WARN") {
			t.Errorf("%s: %s", name, log.String())
		}
	}
}
