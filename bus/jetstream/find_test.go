package jetstream_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// Who may not read single events is told so, and is not made to wait for an answer for ever.
func TestFindTakesAPermission(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "admin"},
			{Username: "worker", Password: "worker", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.MSG.GET.>"}},
			}},
		}
	})
	admin := s.Connect(t, nats.UserInfo("admin", "admin"))
	makeStream(t, newJetStream(t, admin), jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.>"}})
	full := newBus(t, admin, nil)
	publish(t, full, "1")
	info, err := full.Topic(t.Context(), topic, group, bus.Start{})
	if err != nil {
		t.Fatal(err)
	}
	if stored, err := full.Find(t.Context(), []bus.Position{info.Last}); err != nil || !stored[0].Equal(info.Last.Stored) {
		t.Errorf("Find: %v, %v; want %v", stored, err, info.Last.Stored)
	}
	for name, b := range map[string]*natsbus.Bus{
		"denied": newBus(t, s.Connect(t, nats.UserInfo("worker", "worker")), &natsbus.Options{APITimeout: time.Second}),
		"bound":  newBus(t, admin, &natsbus.Options{BindOnly: true}),
	} {
		if _, err := b.Find(t.Context(), []bus.Position{info.Last}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Find, %s: %v; want errors.ErrUnsupported", name, err)
		}
		if _, err := b.Get(t.Context(), info.Last); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Get, %s: %v; want errors.ErrUnsupported", name, err)
		}
	}
}

// Who may not make a consumer is told that the stream cannot be read.
func TestReadTakesAPermission(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "admin"},
			{Username: "worker", Password: "worker", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Deny: []string{"$JS.API.CONSUMER.CREATE.>"}},
			}},
		}
	})
	admin := s.Connect(t, nats.UserInfo("admin", "admin"))
	makeStream(t, newJetStream(t, admin), jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.>"}})
	publish(t, newBus(t, admin, nil), "1")
	b := newBus(t, s.Connect(t, nats.UserInfo("worker", "worker")), &natsbus.Options{APITimeout: time.Second})
	var last error
	for _, err := range b.Read(t.Context(), topic, bus.Range{}) {
		last = err
	}
	if !errors.Is(last, errors.ErrUnsupported) || !errors.Is(last, nats.ErrPermissionViolation) {
		t.Errorf("Read: %v; want errors.ErrUnsupported, and the violation", last)
	}
}

// A consumer resumes by sequence, whatever the stored times are.
func TestConsumerResumesBySequence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	publish(t, w.bus, "1", "2", "3")
	info, err := w.bus.Topic(t.Context(), topic, group, bus.Start{})
	if err != nil {
		t.Fatal(err)
	}
	at := info.Last
	at.Sequence--
	at.Stored = at.Stored.Add(time.Hour) // as if the clock had stepped back since
	src := w.subscribe(t, &bus.SubscribeOptions{Resume: at})
	if c := w.consumer(t).Config; c.DeliverPolicy != jetstream.DeliverByStartSequencePolicy || c.OptStartSeq != 3 {
		t.Errorf("made %+v; want it to start at sequence 3", c)
	}
	if d := fetch(t, src, 1)[0]; d.Event.ID != "3" {
		t.Errorf("%q came first; want 3", d.Event.ID)
	}
}

// A consumer that is deleted when nobody asks is set to stay; where it may not be changed, and its
// stream keeps events for consumers alone, it is refused.
func TestConsumerStaysWhileNobodyAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.makeConsumer(t, func(c *jetstream.ConsumerConfig) { c.InactiveThreshold = time.Minute })
	w.subscribe(t, nil)
	if c := w.consumer(t).Config; c.InactiveThreshold != 0 {
		t.Errorf("it is deleted after %v without a pull; want that it stays", c.InactiveThreshold)
	}
	makeStream(t, w.js, jetstream.StreamConfig{Name: "kept", Subjects: []string{"kept"}, Retention: jetstream.InterestPolicy})
	_, err := w.js.CreateConsumer(t.Context(), "kept", jetstream.ConsumerConfig{
		Durable: natsbus.ConsumerName(group, "kept"), FilterSubject: "kept", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	bound := newBus(t, w.nc, &natsbus.Options{BindOnly: true})
	if _, err := bound.Subscribe(t.Context(), "kept", group, nil); err == nil {
		t.Error("a consumer that takes its stream's events with it when it is deleted was taken")
	}
	src, err := w.bus.Subscribe(t.Context(), "kept", group, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is handled in time is not counted as lost, however much the stream drops; what is
// not is counted.
func TestLossIsOfWhatIsNotHandled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{Name: "few", Subjects: []string{"few"}, MaxMsgs: 3})
	src, err := w.bus.Subscribe(t.Context(), "few", group, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close(t.Context()) })
	put := func(n int) {
		t.Helper()
		for range n {
			if _, err := w.js.Publish(t.Context(), "few", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 10 {
		put(2)
		ack(t, fetch(t, src, 2)...)
	}
	wantUnsettled(t, src, 0)
	lost := func() uint64 {
		t.Helper()
		info, err := src.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.Lost
	}
	if n := lost(); n != 0 {
		t.Errorf("%d events are lost; all 20 were handled", n)
	}
	put(7)
	ack(t, fetch(t, src, 3)...)
	wantUnsettled(t, src, 0)
	if n := lost(); n != 4 {
		t.Errorf("%d events are lost, want the 4 that the stream dropped", n)
	}
}

// The limits that drop events are told, but for those by which a stream refuses them.
func TestLimitsThatDrop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, tt := range []struct {
		config jetstream.StreamConfig
		want   bus.Limits
	}{
		{jetstream.StreamConfig{MaxMsgs: 5, MaxBytes: 6000, MaxMsgsPerSubject: 7}, bus.Limits{Events: 5, Bytes: 6000, EventsPerTopic: 7}},
		{jetstream.StreamConfig{MaxMsgs: 5, MaxBytes: 6000, MaxMsgsPerSubject: 7, Discard: jetstream.DiscardNew}, bus.Limits{EventsPerTopic: 7}},
		{jetstream.StreamConfig{MaxMsgs: 5, MaxMsgsPerSubject: 7, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true}, bus.Limits{}},
		{jetstream.StreamConfig{AllowMsgTTL: true}, bus.Limits{EventTTL: true}},
	} {
		tt.config.Name, tt.config.Subjects = "limited", []string{"limited"}
		makeStream(t, w.js, tt.config)
		if info, err := w.bus.Topic(t.Context(), "limited", group, bus.Start{}); err != nil || info.Limits != tt.want {
			t.Errorf("%+v: %+v, %v; want %+v", tt.config, info.Limits, err, tt.want)
		}
		if err := w.js.DeleteStream(t.Context(), "limited"); err != nil {
			t.Fatal(err)
		}
	}
}
