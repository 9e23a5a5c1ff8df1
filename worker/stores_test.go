package worker

import (
	"errors"
	"strings"
	"testing"

	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestStoreIsRefusedBeforeAnythingConnects: and nothing of the URL is shown.
func TestStoreIsRefusedBeforeAnythingConnects(t *testing.T) {
	t.Parallel()
	for store, want := range map[string]string{
		"redis://u:hunter2@h":      "another scheme than memory, mongodb, mongodb+srv, nats",
		"mongodbx://u:hunter2@h/d": "another scheme",
		"hunter2":                  "another scheme",
		"nats://hunter2:4222":      "write nats: alone",
		"memory://hunter2":         "write memory: alone",
	} {
		_, err := Connect(t.Context(), &ConnectOptions{NATS: "nats://nowhere.invalid", Store: store})
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", store, err, want)
		}
	}
}

// TestStoresThatAreNamedByTheirScheme are there without another server.
func TestStoresThatAreNamedByTheirScheme(t *testing.T) {
	t.Parallel()
	url := natstest.Start(t, nil).URL()
	for store, want := range map[string]string{"": "nats-kv onceish-dedupe", "nats:": "nats-kv onceish-dedupe", "memory:": "memory"} {
		c, err := Connect(t.Context(), &ConnectOptions{NATS: url, Store: store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Store(t.Context()); err != nil || c.StoreName() != want {
			t.Errorf("%q: %q, %v", store, c.StoreName(), err)
		}
		if _, err := c.Outbox(t.Context(), "", nil); !errors.Is(err, ErrUsage) {
			t.Errorf("%q: an outbox: %v", store, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
