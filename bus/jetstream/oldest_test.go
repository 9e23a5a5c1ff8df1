package jetstream_test

import (
	"errors"
	"strings"
	"testing"

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
