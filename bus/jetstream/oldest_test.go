package jetstream_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// newestUnsupported is the last release before OldestServer.
const newestUnsupported = "2.10.29"

func TestConformanceOldest(t *testing.T) {
	t.Parallel()
	start := func(t testing.TB) machine { t.Helper(); return natstest.StartVersion(t, natsbus.OldestServer) }
	conformance(t, start, func(h *bustest.Harness) {
		h.Backup = nil // it restores a stream under the time at which the copied one was created
		h.NoPartitions = true
		h.NoSchedules = true // they came with OldestScheduling
	})
}

func TestNewRefusesAnOldServer(t *testing.T) {
	t.Parallel()
	url := natstest.Pretend(t, newestUnsupported)
	_, err := natsbus.New(natstest.Connect(t, url), nil)
	if !errors.Is(err, natsbus.ErrServerTooOld) {
		t.Fatalf("New: %v; want ErrServerTooOld", err)
	}
	for _, want := range []string{newestUnsupported, natsbus.OldestServer, strings.TrimPrefix(url, "nats://")} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v; want it to name %s", err, want)
		}
	}
}

// Releases before 2.11.4 deliver the wrong events of a consumer with two filters.
func TestTheOldestServerDeliversPartitions(t *testing.T) {
	t.Parallel()
	nc := natstest.StartVersion(t, natsbus.OldestServer).Connect(t)
	makeStream(t, newJetStream(t, nc), jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.>"}})
	b := newBus(t, nc, nil)
	partition := bus.Partition{Topic: topic, Of: 8, Number: 3}.Name()
	for i, subject := range []string{topic, partition, topic + ".of8.4", partition + ".k", partition, topic + ".of8.4.k", partition + ".l", partition, topic} {
		if _, err := b.Publish(t.Context(), bus.Event{ID: strconv.Itoa(i), Topic: subject}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"1", "3", "4", "6", "7"}
	var got, read []string
	for _, rewind := range []bool{false, true} {
		src, err := b.Subscribe(t.Context(), partition, group, &bus.SubscribeOptions{Rewind: rewind})
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, d := range fetch(t, src, len(want)) {
			got = append(got, d.Event.ID)
		}
		info, err := src.Info(t.Context())
		if err != nil || info.Pending != 0 || int(info.Unsettled) != len(want) || !slices.Equal(got, want) {
			t.Errorf("delivered: %q, %+v, %v; want %q", got, info, err, want)
		}
		if err := src.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for s, err := range b.Read(t.Context(), partition, bus.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, s.Event.ID)
	}
	if !slices.Equal(read, want) {
		t.Errorf("read: %q; want %q", read, want)
	}
	read = nil
	for s, err := range b.Read(t.Context(), topic, bus.Range{Partitions: true}) {
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, s.Event.ID)
	}
	if want := numbers(9); !slices.Equal(read, want) {
		t.Errorf("read with its partitions: %q; want %q", read, want)
	}
}
