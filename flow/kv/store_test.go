package kv

import (
	"bytes"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/flow/flowtest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newStore(t testing.TB, nc *nats.Conn, o *Options) *Store {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(js, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	var buckets atomic.Int32
	flowtest.Run(t, flowtest.Harness{New: func(t *testing.T) flowtest.Open {
		bucket := "limits-" + strconv.Itoa(int(buckets.Add(1)))
		return func(skew time.Duration) flow.Store {
			return newStore(t, nc, &Options{Bucket: bucket, now: func() time.Time { return time.Now().Add(skew) }})
		}
	}})
}

func TestIdleRowsExpire(t *testing.T) {
	t.Parallel()
	s := newStore(t, natstest.Start(t, nil).Connect(t), nil)
	if _, err := s.Swap(t.Context(), "limit/key/a", 0, []byte("data"), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	stream, err := s.openBucket(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for {
		info, err := stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Msgs == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond) // the server does not tell when
	}
	row, err := s.Swap(t.Context(), "limit/key/a", 1, []byte("new"), time.Hour)
	if errors.Is(err, flow.ErrConflict) && row.Revision == 0 {
		row, err = s.Swap(t.Context(), "limit/key/a", 0, []byte("new"), time.Hour)
	}
	if err != nil || string(row.Data) != "new" {
		t.Errorf("%q, %v; want the row replaced", row.Data, err)
	}
}

// A bucket without a TTL for each key keeps limits, and says once that it keeps idle rows too.
func TestBucketWithoutTTLKeepsLimits(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "plain"}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := newStore(t, nc, &Options{Bucket: "plain", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	var row flow.Row
	for range 3 {
		if row, err = s.Swap(t.Context(), "key", row.Revision, []byte("data"), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "--allow-msg-ttl"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}

// A bucket that was deleted is made again; a server that is away fails at once, and is found again.
func TestStoreFindsItsBucketAgain(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	nc := server.Connect(t, nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
	s := newStore(t, nc, nil)
	swap := func() error {
		_, err := s.Swap(t.Context(), "key", 0, []byte("data"), time.Hour)
		if errors.Is(err, flow.ErrConflict) {
			return nil
		}
		return err
	}
	awaitSwap := func(what string) {
		t.Helper()
		for begin := time.Now(); swap() != nil; time.Sleep(10 * time.Millisecond) {
			if time.Since(begin) > 30*time.Second {
				t.Fatalf("%s: the store does not recover: %v", what, swap())
			}
		}
	}
	awaitSwap("new")
	natstest.DeleteStream(t, nc, "KV_"+DefaultBucket)
	awaitSwap("deleted")
	server.Stop()
	for nc.IsConnected() {
		time.Sleep(time.Millisecond)
	}
	if err := swap(); !errors.Is(err, ErrDisconnected) {
		t.Errorf("without a server: %v", err)
	}
	server.Start(t)
	awaitSwap("restarted")
}

func TestInvalidOptionsAreNamed(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(&nats.Conn{})
	if err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]*Options{
		`Bucket is "a.b"`: {Bucket: "a.b"},
		`Bucket is "a b"`: {Bucket: "a b"},
		"Replicas is 6":   {Replicas: 6},
	} {
		if _, err := New(js, o); !errors.Is(err, ErrInvalidOptions) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := New(nil, nil); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("no JetStream: %v", err)
	}
}

func BenchmarkSwap(b *testing.B) {
	s := newStore(b, natstest.Start(b, nil).Connect(b), nil)
	var row flow.Row
	var err error
	for b.Loop() {
		if row, err = s.Swap(b.Context(), "key", row.Revision, []byte("the state of a bucket takes 40 bytes"), time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLimitsInAnotherDomain: JetStream takes rows under the prefix of its API there.
func TestLimitsInAnotherDomain(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, func(o *server.Options) { o.JetStreamDomain = "hub" }).Connect(t)
	open := map[string]func() (jetstream.JetStream, error){
		"domain": func() (jetstream.JetStream, error) { return jetstream.NewWithDomain(nc, "hub") },
		"prefix": func() (jetstream.JetStream, error) { return jetstream.NewWithAPIPrefix(nc, "$JS.hub.API") },
	}
	for name, newJetStream := range open {
		js, err := newJetStream()
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(js, &Options{Bucket: name})
		if err != nil {
			t.Fatal(err)
		}
		if want, got := "$JS.hub.API.$KV."+name+".a", s.publishSubject("a"); got != want {
			t.Errorf("%s: published to %q, want %q", name, got, want)
		}
		row, err := s.Swap(t.Context(), "a", 0, []byte("1"), time.Minute)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := s.Swap(t.Context(), "a", row.Revision, []byte("2"), time.Minute); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if row, err := s.Swap(t.Context(), "a", row.Revision, []byte("3"), time.Minute); !errors.Is(err, flow.ErrConflict) || string(row.Data) != "2" {
			t.Errorf("%s: %q, %v", name, row.Data, err)
		}
	}
}
