package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// Servers before 2.14 have the consumer deleted and made again.
func TestConformanceRewindBeforeResets(t *testing.T) {
	t.Parallel()
	conformance(t, embedded(nil), func(h *bustest.Harness) {
		made := h.New
		h.New = func(t *testing.T, s bustest.Stream) bus.Bus {
			t.Helper()
			b := made(t, s)
			natsbus.RewindAsBeforeResets(b.(*natsbus.Bus))
			return b
		}
	})
}

// A process that goes on reading would get events that must come to the new one first.
func TestRewindRefusesAReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	old := w.subscribe(t, nil)
	publish(t, w.bus, "1")
	fetch(t, old, 1)
	inbox, err := w.nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	// One request for many events stays open all the time, however slow the reader is.
	next := "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + natsbus.ConsumerName(group, topic)
	if err := w.nc.PublishRequest(next, inbox.Subject, []byte(`{"batch":10000,"expires":60000000000}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a request", func() bool { return waitingPulls(t, w) > 0 })
	_, err = w.bus.Subscribe(t.Context(), topic, group, &bus.SubscribeOptions{Rewind: true})
	if err == nil || !strings.Contains(err.Error(), "requests of other processes") {
		t.Errorf("Subscribe with Rewind, while another process reads: %v", err)
	}
}

func waitingPulls(t *testing.T, w *world) int {
	t.Helper()
	c, err := w.js.Consumer(t.Context(), stream, natsbus.ConsumerName(group, topic))
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo().NumWaiting
}

// A stream of interest retention drops what no consumer waits for: there a consumer must not be
// deleted.
func TestRewindKeepsWhatAStreamOfInterestHas(t *testing.T) {
	t.Parallel()
	for _, resets := range []bool{true, false} {
		w := newWorld(t, nil)
		makeStream(t, w.js, jetstream.StreamConfig{Name: "kept", Subjects: []string{"kept"}, Retention: jetstream.InterestPolicy})
		if !resets {
			natsbus.RewindAsBeforeResets(w.bus)
		}
		old, err := w.bus.Subscribe(t.Context(), "kept", group, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.bus.Publish(t.Context(), bus.Event{ID: "1", Topic: "kept"}, bus.Event{ID: "2", Topic: "kept"}); err != nil {
			t.Fatal(err)
		}
		fetch(t, old, 2)
		if err := old.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = w.bus.Subscribe(t.Context(), "kept", group, &bus.SubscribeOptions{Rewind: true})
		if resets != (err == nil) || !resets && !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("with resets %v: %v", resets, err)
		}
		src, err := w.bus.Subscribe(t.Context(), "kept", group, nil)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := src.Info(t.Context()); err != nil || info.Pending+info.Unsettled != 2 {
			t.Errorf("with resets %v the group has %+v, %v; want 2 events", resets, info, err)
		}
		if err := src.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// What others have set on a consumer stays when it is rewound.
func TestRewindKeepsTheConsumersConfiguration(t *testing.T) {
	t.Parallel()
	for _, resets := range []bool{true, false} {
		w := newWorld(t, nil)
		if !resets {
			natsbus.RewindAsBeforeResets(w.bus)
		}
		name := natsbus.ConsumerName(group, topic)
		config := func() jetstream.ConsumerConfig {
			c, err := w.js.Consumer(t.Context(), stream, name)
			if err != nil {
				t.Fatal(err)
			}
			return c.CachedInfo().Config
		}
		publish(t, w.bus, "1", "2", "3")
		ack(t, fetch(t, w.subscribe(t, nil), 2)[0])
		changed := config()
		changed.Description, changed.MaxRequestBatch = "theirs", 7
		if _, err := w.js.UpdateConsumer(t.Context(), stream, changed); err != nil {
			t.Fatal(err)
		}
		src := w.subscribe(t, &bus.SubscribeOptions{Rewind: true})
		if got := config(); got.Description != "theirs" || got.MaxRequestBatch != 7 || got.Metadata["onceish.group"] != group {
			t.Errorf("with resets %v the consumer is %+v", resets, got)
		}
		if got := fetch(t, src, 2); got[0].Event.ID != "2" || got[1].Event.ID != "3" {
			t.Errorf("with resets %v: %q, %q", resets, got[0].Event.ID, got[1].Event.ID)
		}
	}
}

// A process that was frozen while another one rewound its consumer counts nothing as lost: the
// deliveries are counted from zero again, and may be fewer or more than before.
func TestRewindByAnotherProcessLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, retention := range []jetstream.RetentionPolicy{jetstream.LimitsPolicy, jetstream.InterestPolicy} {
		for _, later := range []int{1, 8} {
			topic := fmt.Sprintf("all.%v.%d", retention, later) // every event of the stream is the group's
			makeStream(t, w.js, jetstream.StreamConfig{Name: strings.ReplaceAll(topic, ".", "_"), Subjects: []string{topic}, Retention: retention})
			subscribe := func(o *bus.SubscribeOptions) bus.Source {
				src, err := w.bus.Subscribe(t.Context(), topic, group, o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = src.Close(context.Background()) }) // to end its goroutines
				return src
			}
			publish := func(n int) {
				for i := range n {
					if _, err := w.bus.Publish(t.Context(), bus.Event{ID: fmt.Sprint(n, "-", i), Topic: topic}); err != nil {
						t.Fatal(err)
					}
				}
			}
			frozen := subscribe(nil)
			publish(5)
			ack(t, fetch(t, frozen, 5)[:3]...)
			eventually(t, "a floor of 3", func() bool {
				info, err := frozen.Info(t.Context())
				return err == nil && info.Floor == 3
			})
			publish(later)
			fetch(t, subscribe(&bus.SubscribeOptions{Rewind: true}), 2+later)
			if info, err := frozen.Info(t.Context()); err != nil || info.Lost != 0 {
				t.Errorf("%v retention, %d events later: %+v, %v; want nothing lost", retention, later, info, err)
			}
		}
	}
}

// Whatever is in flight when a replicated consumer changes its leader, a rewind takes it back.
func TestRewindOnACluster(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t, nil)
	nc := natstest.Connect(t, cluster.URL(), natsbus.ConnectionOptions(0)...)
	b := newBus(t, nc, &natsbus.Options{Provision: &natsbus.Provision{Replicas: 3, Name: stream}})
	old := subscribe(t, b, nil)
	var ids []string
	for i := range 20 {
		ids = append(ids, fmt.Sprint(i))
	}
	eventually(t, "a stream that takes events", func() bool {
		_, err := b.Publish(t.Context(), bus.Event{ID: ids[0], Topic: topic, Data: []byte("payload of " + ids[0])})
		return err == nil
	})
	publish(t, b, ids[1:]...)
	ds := fetch(t, old, 20)
	ack(t, ds[:5]...)
	ack(t, ds[9])
	for step := 1; step <= 3; step++ {
		eventually(t, "the floor", func() bool {
			info, err := old.Info(t.Context())
			return err == nil && info.Floor == ds[5*step-1].At.Sequence
		})
		_ = old.Close(t.Context())
		natstest.StepDown(t, nc, stream, natsbus.ConsumerName(group, topic))
		src := rewindWhenPossible(t, b)
		again := fetch(t, src, 20-5*step)
		for i, d := range again {
			if d.At.Sequence != ds[5*step+i].At.Sequence {
				t.Fatalf("delivery %d after rewind %d is of sequence %d; want %d", i, step, d.At.Sequence, ds[5*step+i].At.Sequence)
			}
		}
		ack(t, again[:min(5, len(again))]...)
		old = src
	}
}

// rewindWhenPossible subscribes across errors that pass, as a consumer does.
func rewindWhenPossible(t *testing.T, b bus.Bus) bus.Source {
	t.Helper()
	for limit := time.Now().Add(fetchTimeout); ; time.Sleep(50 * time.Millisecond) {
		src, err := b.Subscribe(t.Context(), topic, group, &bus.SubscribeOptions{Rewind: true})
		if err == nil {
			t.Cleanup(func() { _ = src.Close(context.Background()) })
			return src
		}
		if time.Now().After(limit) {
			t.Fatal(err)
		}
	}
}
