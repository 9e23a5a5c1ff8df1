package jetstream_test

import (
	"errors"
	"strings"
	"testing"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/natstest"
)

// newestUnsupported is the release before OldestServer.
const newestUnsupported = "2.10.3"

func TestConformanceOldest(t *testing.T) {
	t.Parallel()
	conformance(t, func(t testing.TB) machine { t.Helper(); return natstest.StartVersion(t, natsbus.OldestServer) })
}

func TestNewRefusesAnOldServer(t *testing.T) {
	t.Parallel()
	server := natstest.StartVersion(t, newestUnsupported)
	_, err := natsbus.New(server.Connect(t), nil)
	if !errors.Is(err, natsbus.ErrServerTooOld) {
		t.Fatalf("New: %v; want ErrServerTooOld", err)
	}
	for _, want := range []string{newestUnsupported, natsbus.OldestServer, strings.TrimPrefix(server.URL(), "nats://")} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v; want it to name %s", err, want)
		}
	}
}
