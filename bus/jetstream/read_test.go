package jetstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
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

// readIDs reads a range without an error, and calls during after each event.
func readIDs(t *testing.T, b *natsbus.Bus, r bus.Range, during func(seen int)) (ids []string) {
	t.Helper()
	for s, err := range b.Read(t.Context(), "orders.>", r) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(ids), err)
		}
		ids = append(ids, s.Event.ID)
		if during != nil {
			during(len(ids))
		}
	}
	return ids
}

func numbers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

func (w *world) consumers(t *testing.T) (names []string) {
	t.Helper()
	list := w.stream(t).ConsumerNames(t.Context())
	for name := range list.Name() {
		names = append(names, name)
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	return names
}

func TestReadLeavesNoConsumerBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	publish(t, w.bus, numbers(20)...)
	for name, r := range map[string]bus.Range{"to its end": {}, "following": {Until: bus.Until{Follow: true}}} {
		for _, err := range w.bus.Read(t.Context(), "orders.>", r) {
			if err != nil {
				t.Fatal(err)
			}
			if found := w.consumers(t); len(found) != 1 {
				t.Fatalf("%s: consumers %q while it reads; want one", name, found)
			}
			break
		}
		eventually(t, "no consumer", func() bool { return len(w.consumers(t)) == 0 })
	}
}

func TestReadGoesOnWhenItsConsumerIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const n = 2_500 // more than a read holds
	publish(t, w.bus, numbers(n)...)
	got := readIDs(t, w.bus, bus.Range{}, func(seen int) {
		if seen%900 != 5 {
			return
		}
		for _, name := range w.consumers(t) {
			if err := w.js.DeleteConsumer(t.Context(), stream, name); err != nil {
				t.Fatal(err)
			}
		}
	})
	if !slices.Equal(got, numbers(n)) {
		t.Errorf("%d events were read; want %d, each once", len(got), n)
	}
}

// A read that stalls loses its consumer, as after a minute, and goes on where it was.
func TestReadGoesOnAfterAStall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{
		Name: "short", Subjects: []string{"short"}, ConsumerLimits: jetstream.StreamConsumerLimits{InactiveThreshold: 50 * time.Millisecond},
	})
	const n = 3_500 // more than a read holds
	for _, id := range numbers(n) {
		if _, err := w.js.PublishAsync("short", nil, jetstream.WithMsgID(id)); err != nil {
			t.Fatal(err)
		}
	}
	<-w.js.PublishAsyncComplete()
	short, err := w.js.Stream(t.Context(), "short")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for s, err := range w.bus.Read(t.Context(), "short", bus.Range{}) {
		if seen++; err != nil || s.At.Sequence != uint64(seen) {
			t.Fatalf("event %d: at %d, %v", seen, s.At.Sequence, err)
		}
		if seen%1_500 == 1 {
			eventually(t, "no consumer", func() bool {
				info, err := short.Info(t.Context())
				return err == nil && info.State.Consumers == 0
			})
		}
	}
	if seen != n {
		t.Errorf("%d events were read; want %d", seen, n)
	}
}

// The stream's leader changes, and the server that has the consumer goes, while it is read.
func TestReadGoesOnOverLeaderChanges(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t, nil)
	nc := natstest.Connect(t, cluster.URL())
	js := newJetStream(t, nc)
	eventually(t, "a stream", func() bool { // servers that have just started may not answer in time
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.>"}, Replicas: 3})
		return err == nil
	})
	b := newBus(t, nc, nil)
	eventually(t, "a stream that takes events", func() bool {
		receipts, err := b.Publish(t.Context(), bus.Event{ID: "0", Topic: topic})
		return err == nil && receipts[0].Err == nil
	})
	const n = 5_000 // several pulls
	publish(t, b, numbers(n)[1:]...)
	got := readIDs(t, b, bus.Range{}, func(seen int) {
		switch {
		case seen < 3_000 && seen%900 == 5:
			awaitLeader(t, js)
			natstest.StepDown(t, nc, stream, "")
		case seen == 3_500:
			stopServerOfReader(t, js, cluster)
		}
	})
	if !slices.Equal(got, numbers(n)) {
		t.Errorf("%d events were read; want %d, each once and in order", len(got), n)
	}
}

// awaitLeader waits until the stream has a leader.
func awaitLeader(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	eventually(t, "a leader", func() bool {
		s, err := js.Stream(t.Context(), stream)
		return err == nil && s.CachedInfo().Cluster.Leader != ""
	})
}

// stopServerOfReader stops the server that leads the one consumer of the stream.
func stopServerOfReader(t *testing.T, js jetstream.JetStream, cluster *natstest.Cluster) {
	t.Helper()
	eventually(t, "a server that leads the consumer", func() bool {
		s, err := js.Stream(t.Context(), stream)
		if err != nil {
			return false // it has no leader yet
		}
		for info := range s.ListConsumers(t.Context()).Info() {
			for i, server := range cluster.Servers {
				if info.Cluster.Leader == fmt.Sprintf("server-%d", i) {
					server.Stop()
					return true
				}
			}
		}
		return false
	})
}

func TestReadOfLargeAndSmallEvents(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, func(o *server.Options) { o.MaxPayload = 16 << 20 })
	for i := range 24 {
		e := bus.Event{ID: strconv.Itoa(i), Topic: topic, Data: bytes.Repeat([]byte{'x'}, 10)}
		if i%6 > 3 {
			e.Data = bytes.Repeat([]byte{'x'}, 5<<20)
		}
		if _, err := w.bus.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if got := readIDs(t, w.bus, bus.Range{}, nil); !slices.Equal(got, numbers(24)) {
		t.Errorf("%q were read; want all", got)
	}
}

func newWorldWith(t *testing.T, configure func(*server.Options)) *world {
	t.Helper()
	s := natstest.Start(t, configure)
	nc := s.Connect(t)
	w := &world{server: s, served: served{machine: s, nc: nc, js: newJetStream(t, nc)}}
	makeStream(t, w.js, jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.>"}})
	w.bus = newBus(t, nc, nil)
	return w
}

func TestReadOfSeveralStreamsNamesThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{Name: "bills", Subjects: []string{"bills.>"}})
	for _, err := range w.bus.Read(t.Context(), ">", bus.Range{}) {
		if err == nil || !strings.Contains(err.Error(), "bills, orders") {
			t.Errorf("%v; want an error that names both streams", err)
		}
	}
}

func TestReadMakesNothingWithBindOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &natsbus.Options{BindOnly: true})
	for _, err := range w.bus.Read(t.Context(), "orders.>", bus.Range{}) {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v; want ErrUnsupported", err)
		}
	}
}

func TestReadOfAnInterestStreamKeepsNothingInIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{Name: "bills", Subjects: []string{"bills.>"}, Retention: jetstream.InterestPolicy})
	src, err := w.bus.Subscribe(t.Context(), "bills.>", group, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close(t.Context()) }()
	for i := range 3 {
		if _, err := w.bus.Publish(t.Context(), bus.Event{ID: strconv.Itoa(i), Topic: "bills.new"}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for s, err := range w.bus.Read(t.Context(), "bills.>", bus.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, s.Event.ID); len(got) == 1 {
			ack(t, fetch(t, src, 3)...)
			eventually(t, "an empty stream", func() bool {
				info, err := w.js.Stream(t.Context(), "bills")
				return err == nil && info.CachedInfo().State.Msgs == 0
			})
		}
	}
	if !slices.Equal(got, numbers(3)) {
		t.Errorf("%q were read; want those that were there", got)
	}
}

// Markers and orders to the server are no events.
func TestReadLeavesOutServerMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	publish(t, w.bus, "0")
	for i, m := range []*nats.Msg{
		{Subject: topic, Header: nats.Header{"Nats-Marker-Reason": {"MaxAge"}}},
		{Subject: topic, Header: nats.Header{"Nats-Marker-Reason": {"mine"}, "Nats-Msg-Id": {"1"}}, Data: []byte("data")},
	} {
		if _, err := w.js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(i, err)
		}
	}
	for _, headersOnly := range []bool{false, true} {
		if got := readIDs(t, w.bus, bus.Range{HeadersOnly: headersOnly}, nil); !slices.Equal(got, numbers(2)) {
			t.Errorf("headers only: %v: %q were read; want the events", headersOnly, got)
		}
	}
}

// What has no attributes in its headers cannot be read without its data.
func TestReadReportsMalformedEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	data := `{"specversion":"1.0","id":"0","source":"s","type":"t","data":"x"}`
	m := &nats.Msg{Subject: topic, Header: nats.Header{"Content-Type": {"application/cloudevents+json"}}, Data: []byte(data)}
	if _, err := w.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for _, headersOnly := range []bool{false, true} {
		for s, err := range w.bus.Read(t.Context(), topic, bus.Range{HeadersOnly: headersOnly}) {
			if err != nil || (s.Malformed != nil) != headersOnly || (s.Event.ID == "0") == headersOnly {
				t.Errorf("headers only: %v: %+v, %v", headersOnly, s, err)
			}
		}
	}
}

// What is read while the connection is away is read when it is back, however often that happens.
func TestReadFollowsOverRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	publish(t, w.bus, "0")
	const n = 4
	seen := 0
	for s, err := range w.bus.Read(t.Context(), "orders.>", bus.Range{Until: bus.Until{Follow: true}}) {
		if err != nil || s.Event.ID != strconv.Itoa(seen) {
			t.Fatalf("event %d: %q, %v", seen, s.Event.ID, err)
		}
		if seen++; seen == n {
			break
		}
		w.Stop()
		w.restart(t)
		publish(t, w.bus, strconv.Itoa(seen))
	}
}

func BenchmarkRead(b *testing.B) {
	w := newWorld(b, nil)
	const n = 50_000
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	publish(b, w.bus, ids...)
	read := func(b *testing.B, one func() int) float64 {
		b.Helper()
		began := time.Now()
		for range b.N {
			if got := one(); got != n {
				b.Fatalf("%d events; want %d", got, n)
			}
		}
		return float64(n*b.N) / time.Since(began).Seconds()
	}
	var ordered float64
	b.Run("ordered consumer of nats.go", func(b *testing.B) {
		ordered = read(b, func() int { return readOrdered(b, w.js, n) })
		b.ReportMetric(ordered, "events/s")
	})
	b.Run("Read", func(b *testing.B) {
		rate := read(b, func() (seen int) {
			for _, err := range w.bus.Read(b.Context(), "orders.>", bus.Range{}) {
				if err != nil {
					b.Fatal(err)
				}
				seen++
			}
			return seen
		})
		b.ReportMetric(rate, "events/s")
		b.ReportMetric(rate/ordered, "x")
	})
}

// readOrdered is the baseline.
func readOrdered(b *testing.B, js jetstream.JetStream, n int) (seen int) {
	b.Helper()
	c, err := js.OrderedConsumer(b.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"orders.>"}})
	if err != nil {
		b.Fatal(err)
	}
	messages, err := c.Messages()
	if err != nil {
		b.Fatal(err)
	}
	defer messages.Stop()
	for ; seen < n; seen++ {
		if _, err := messages.Next(); err != nil {
			b.Fatal(err)
		}
	}
	return seen
}
