package nats

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/group/grouptest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

const testTTL = 3 * time.Second

func TestConformance(t *testing.T) {
	t.Parallel()
	cycles := 1000
	if testing.Short() {
		cycles = 100
	}
	grouptest.Run(t, grouptest.Harness{Cycles: cycles, New: func(t *testing.T) grouptest.Subject {
		server := natstest.Start(t, nil)
		nc := server.Connect(t)
		return grouptest.Subject{
			Store: newStore(t, nc, nil),
			Reset: func(t *testing.T) {
				natstest.DeleteStream(t, nc, "KV_"+MembersBucket)
				natstest.DeleteStream(t, nc, "KV_"+GroupsBucket)
			},
			Restart: func(t *testing.T) {
				server.Stop()
				time.Sleep(testTTL / 3) // an outage has a length
				server.Start(t)
			},
		}
	}})
}

func newStore(t testing.TB, nc *nats.Conn, o *Options) *Store {
	t.Helper()
	if o == nil {
		o = &Options{}
	}
	o.MemberTTL = testTTL
	s, err := New(t.Context(), nc, quiet(o))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func quiet(o *Options) *Options {
	o.Logger = slog.New(slog.DiscardHandler)
	return o
}
