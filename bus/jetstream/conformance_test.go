package jetstream_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/natstest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance(t, nil)
}

// The server has a newer form of the subjects that deliveries are settled on.
func TestConformanceNewReplies(t *testing.T) {
	t.Parallel()
	conformance(t, func(o *server.Options) { o.FeatureFlags = map[string]bool{server.FeatureFlagJsAckFormatV2: true} })
}

func conformance(t *testing.T, configure func(*server.Options)) {
	t.Helper()
	var worlds perBus[*world]
	slots := make(chan struct{}, 8) // each case runs a server
	bustest.Run(t, bustest.Harness{
		AckWait: 1500 * time.Millisecond,
		Run: func(t *testing.T, test func(t *testing.T)) {
			t.Helper()
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			test(t)
		},
		New: func(t *testing.T, s bustest.Stream) bus.Bus {
			t.Helper()
			w := &world{server: natstest.Start(t, configure)}
			w.nc = w.server.Connect(t)
			w.js = management(t, w.nc)
			retention := jetstream.LimitsPolicy
			if s.WorkQueue {
				retention = jetstream.WorkQueuePolicy
			}
			makeStream(t, w.js, jetstream.StreamConfig{
				Name: stream, Subjects: s.Topics, Retention: retention, MaxAge: s.MaxAge, MaxMsgs: int64(s.MaxEvents), Duplicates: s.DuplicateWindow,
			})
			w.bus = newBus(t, w.nc, &natsbus.Options{MaxUnsettled: s.MaxUnsettled})
			worlds.set(w.bus, w)
			return w.bus
		},
		Delete: func(t *testing.T, b bus.Bus, sequences ...uint64) {
			t.Helper()
			s := worlds.get(b).stream(t)
			for _, sequence := range sequences {
				if err := s.DeleteMsg(t.Context(), sequence); err != nil {
					t.Fatal(err)
				}
			}
		},
		Purge: func(t *testing.T, b bus.Bus) {
			t.Helper()
			if err := worlds.get(b).stream(t).Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		DeleteGroup: func(t *testing.T, b bus.Bus, topic, group string) {
			t.Helper()
			if err := worlds.get(b).js.DeleteConsumer(t.Context(), stream, natsbus.ConsumerName(group, topic)); err != nil {
				t.Fatal(err)
			}
		},
		Snapshot: func(t *testing.T, b bus.Bus) func(t *testing.T) {
			t.Helper()
			w := worlds.get(b)
			w.server.Stop()
			from := w.server.Copy(t)
			w.restart(t)
			return func(t *testing.T) {
				t.Helper()
				w.server.Stop()
				w.server.Restore(t, from)
				w.restart(t)
			}
		},
		Restart: func(t *testing.T, b bus.Bus) {
			t.Helper()
			w := worlds.get(b)
			w.server.Stop()
			w.restart(t)
		},
	})
}

func (w *world) stream(t *testing.T) jetstream.Stream {
	t.Helper()
	s, err := w.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// restart starts the server again, and waits until the connection is back.
func (w *world) restart(t *testing.T) {
	t.Helper()
	back := w.nc.Stats().Reconnects
	w.server.Start(t)
	eventually(t, "reconnect", func() bool { return w.nc.IsConnected() && w.nc.Stats().Reconnects > back })
}
