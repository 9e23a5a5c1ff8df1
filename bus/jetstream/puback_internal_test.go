package jetstream

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/internal/natsrequest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// What servers write must be read the quick way, or publishing is slow and nobody knows why.
func TestConfirmationsOfServersAreQuick(t *testing.T) {
	t.Parallel()
	for name, nc := range map[string]*nats.Conn{
		"oldest": natstest.StartVersion(t, OldestServer).Connect(t),
		"newest": natstest.Start(t, nil).Connect(t),
		"domain": natstest.Start(t, func(o *server.Options) { o.JetStreamDomain = "d" }).Connect(t),
	} {
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "s", Subjects: []string{"t"}}); err != nil {
			t.Fatal(err)
		}
		m, err := nc.Request("t", nil, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if sequence, ok := natsrequest.StoredAt(m.Data); !ok || sequence != 1 {
			t.Errorf("%s: %s: %d, %v", name, m.Data, sequence, ok)
		}
	}
}
