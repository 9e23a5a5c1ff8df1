package jetstream_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance(t, embedded(nil))
}

// The server has a newer form of the subjects that deliveries are settled on.
func TestConformanceNewReplies(t *testing.T) {
	t.Parallel()
	conformance(t, embedded(func(o *server.Options) { o.FeatureFlags = map[string]bool{server.FeatureFlagJsAckFormatV2: true} }))
}

// served is a server, and a connection to it.
type served struct {
	machine

	nc *nats.Conn
	js jetstream.JetStream
}

type machine interface {
	Connect(t testing.TB, options ...nats.Option) *nats.Conn
	Stop()
	Start(t testing.TB)
	Copy(t testing.TB) string
	Restore(t testing.TB, from string)
}

func embedded(configure func(*server.Options)) func(testing.TB) machine {
	return func(t testing.TB) machine { t.Helper(); return natstest.Start(t, configure) }
}

// conformance runs the suite. A server of this kind may be one that cannot do some of it.
func conformance(t *testing.T, start func(testing.TB) machine, cannot ...func(*bustest.Harness)) {
	t.Helper()
	var servers perBus[*served]
	slots := make(chan struct{}, 8) // each case runs a server
	h := bustest.Harness{
		AckWait: 1500 * time.Millisecond,
		Run: func(t *testing.T, test func(t *testing.T)) {
			t.Helper()
			slots <- struct{}{}
			defer func() { <-slots }()
			test(t)
		},
		New: func(t *testing.T, s bustest.Stream) bus.Bus {
			t.Helper()
			w := &served{machine: start(t)}
			w.nc = w.Connect(t)
			w.js = newJetStream(t, w.nc)
			retention := jetstream.LimitsPolicy
			if s.WorkQueue {
				retention = jetstream.WorkQueuePolicy
			}
			subjects := slices.Clone(s.Topics)
			if s.Schedules {
				subjects = append(subjects, natsbus.ScheduleSubjects(s.Topics)...)
			}
			makeStream(t, w.js, jetstream.StreamConfig{
				Name: stream, Subjects: subjects, AllowMsgSchedules: s.Schedules, AllowRollup: s.Schedules, Retention: retention, MaxAge: s.MaxAge, MaxMsgs: int64(s.MaxEvents), Duplicates: s.DuplicateWindow,
			})
			b := newBus(t, w.nc, &natsbus.Options{MaxUnsettled: s.MaxUnsettled})
			servers.set(b, w)
			return b
		},
		Delete: func(t *testing.T, b bus.Bus, sequences ...uint64) {
			t.Helper()
			s := servers.get(b).stream(t)
			for _, sequence := range sequences {
				if err := s.DeleteMsg(t.Context(), sequence); err != nil {
					t.Fatal(err)
				}
			}
		},
		Purge: func(t *testing.T, b bus.Bus) {
			t.Helper()
			if err := servers.get(b).stream(t).Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		Recreate: func(t *testing.T, b bus.Bus) {
			t.Helper()
			w := servers.get(b)
			config := w.stream(t).CachedInfo().Config
			natstest.DeleteStream(t, w.nc, stream)
			makeStream(t, w.js, config)
		},
		DeleteGroup: func(t *testing.T, b bus.Bus, topic, group string) {
			t.Helper()
			if err := servers.get(b).js.DeleteConsumer(t.Context(), stream, natsbus.ConsumerName(group, topic)); err != nil {
				t.Fatal(err)
			}
		},
		Snapshot: func(t *testing.T, b bus.Bus) func(t *testing.T) {
			t.Helper()
			w := servers.get(b)
			w.Stop()
			from := w.Copy(t)
			w.restart(t)
			return func(t *testing.T) {
				t.Helper()
				w.Stop()
				w.Restore(t, from)
				w.restart(t)
			}
		},
		Backup: func(t *testing.T, b bus.Bus) func(t *testing.T) {
			t.Helper()
			w := servers.get(b)
			restore := natstest.Backup(t, w.nc, stream)
			return func(t *testing.T) { t.Helper(); restore(t) }
		},
		Restart: func(t *testing.T, b bus.Bus) {
			t.Helper()
			w := servers.get(b)
			w.Stop()
			w.restart(t)
		},
	}
	for _, leaveOut := range cannot {
		leaveOut(&h)
	}
	bustest.Run(t, h)
}

func (w *served) stream(t *testing.T) jetstream.Stream {
	t.Helper()
	s, err := w.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// restart starts the server again, and waits until the connection is back.
func (w *served) restart(t *testing.T) {
	t.Helper()
	back := w.nc.Stats().Reconnects
	w.Start(t)
	eventually(t, "reconnect", func() bool { return w.nc.IsConnected() && w.nc.Stats().Reconnects > back })
}
