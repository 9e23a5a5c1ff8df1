package nats

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/group/grouptest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

const testTTL = 3 * time.Second

func TestConformance(t *testing.T) {
	t.Parallel()
	grouptest.Run(t, grouptest.Harness{Cycles: 300, New: func(t *testing.T) grouptest.Subject {
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

// joinCluster joins a group once the cluster answers, which servers that have just started may not
// do in time.
func joinCluster(t *testing.T, nc *nats.Conn, o *group.Options) *group.Session {
	t.Helper()
	store := newStore(t, nc, &Options{Replicas: 3})
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		session, err := group.Join(t.Context(), store, "g", o)
		if err == nil {
			return session
		}
		if time.Now().After(limit) {
			t.Fatal(err)
		}
	}
}

// A group works on a cluster while its buckets change their leaders.
func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 3)
	var nc *nats.Conn
	for range cap(ended) {
		nc = natstest.Connect(t, cluster.URL())
		o := &group.Options{Logger: slog.New(slog.DiscardHandler)}
		session := joinCluster(t, nc, o)
		go func() { ended <- session.Run(ctx) }()
	}
	store := newStore(t, nc, nil)
	for cycle := range 30 {
		switch cycle {
		case 10:
			natstest.StepDown(t, nc, "KV_"+GroupsBucket, "")
		case 20:
			natstest.StepDown(t, nc, "KV_"+MembersBucket, "")
		}
		for _, request := range []func(context.Context, group.Store, string, group.Request) (group.Result, error){group.Pause, group.Resume} {
			r, err := request(ctx, store, "g", group.Request{})
			for limit := time.Now().Add(30 * time.Second); errors.Is(err, ErrNoAnswer) && time.Now().Before(limit); {
				time.Sleep(20 * time.Millisecond) // there is no leader
				r, err = request(ctx, store, "g", group.Request{})
			}
			if err != nil || len(r.Confirmed) != cap(ended) {
				t.Fatalf("cycle %d: confirmed by %d: %v", cycle, len(r.Confirmed), err)
			}
		}
	}
	cancel()
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
