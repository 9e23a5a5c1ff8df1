package jetstream_test

import (
	"errors"
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

func TestPartitionsTakeAServerThatDeliversThem(t *testing.T) {
	t.Parallel()
	nc := natstest.StartVersion(t, natsbus.OldestServer).Connect(t)
	makeStream(t, newJetStream(t, nc), jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.>"}})
	b := newBus(t, nc, nil)
	partition := bus.Partition{Topic: topic, Of: 8}.Subject()
	_, err := b.Subscribe(t.Context(), partition, group, nil)
	for _, readErr := range b.Read(t.Context(), partition, bus.Range{}) {
		err = errors.Join(err, readErr)
		if !errors.Is(readErr, natsbus.ErrServerTooOld) {
			t.Errorf("Read: %v; want ErrServerTooOld", readErr)
		}
	}
	if !errors.Is(err, natsbus.ErrServerTooOld) || !strings.Contains(err.Error(), natsbus.PartitionServer) {
		t.Errorf("Subscribe: %v; want ErrServerTooOld, and the version to upgrade to", err)
	}
}
