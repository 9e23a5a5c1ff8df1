package kv

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestCluster: with three replicas writes of one key that are under way together exclude each other
// as well, and a new leader knows what the old one confirmed.
func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t, nil)
	connect := func() *nats.Conn { return natstest.Connect(t, cluster.URL()) }
	o := &Options{Replicas: 3, Timeout: time.Second}
	stores := []*Store{newStore(t, connect(), o), newStore(t, connect(), o)}
	contest(t, stores)
	stepDowns(t, stores, connect())
	replicated(t, connect())
}

// replicated: a bucket is made with as many replicas as the stream has whose events it marks, and
// one that has fewer is warned of.
func replicated(t *testing.T, nc *nats.Conn) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"order.>"}, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	newStore(t, nc, &Options{Bucket: "single", Timeout: 5 * time.Second})
	var log bytes.Buffer
	for bucket, want := range map[string]int{"follows": 3, "single": 1} {
		o := &Options{Bucket: bucket, Topics: []string{"nobodys.topic", "order.placed"}, Timeout: 5 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		newStore(t, nc, o)
		info, err := stream(t, nc, bucket).Info(t.Context())
		if err != nil || info.Config.Replicas != want {
			t.Errorf("the bucket %q has %d replicas (%v), want %d", bucket, info.Config.Replicas, err, want)
		}
	}
	if n := strings.Count(log.String(), "fewer replicas"); n != 1 || !strings.Contains(log.String(), "bucket=single") {
		t.Errorf("want one warning, of the bucket %q:\n%s", "single", log.String())
	}
}

// contest has many claim the same keys at once, while they lapse.
func contest(t *testing.T, stores []*Store) {
	t.Helper()
	const keys = 8
	var won [keys]atomic.Int32
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			rs := make([]dedupe.Request, keys)
			for k := range rs {
				rs[k] = ask(fmt.Sprint("contested-", k), fmt.Sprint("n-", i, "-", k))
			}
			cs, err := stores[i%2].Claim(t.Context(), rs)
			if err != nil {
				t.Errorf("Claim: %v", err)
				return
			}
			for k, c := range cs {
				if c.State == dedupe.Fresh {
					won[k].Add(1)
				}
			}
		})
	}
	wg.Wait()
	for k := range won {
		if n := won[k].Load(); n != 1 {
			t.Errorf("%d claimers won key %d, want one", n, k)
		}
	}
}

// stepDowns lets the leader change between, and during, claims and settlements; each call is
// repeated until it succeeds.
func stepDowns(t *testing.T, stores []*Store, nc *nats.Conn) {
	t.Helper()
	const keys = 100
	claims := make([]dedupe.Claim, keys)
	rs := make([]dedupe.Request, keys)
	for k := range rs {
		rs[k] = ask(fmt.Sprint("key-", k), fmt.Sprint("n-", k))
	}
	during(t, nc, func() error {
		cs, err := stores[0].Claim(t.Context(), rs)
		copy(claims, cs)
		return err
	})
	ss := make([]dedupe.Settlement, keys)
	for k, c := range claims {
		if c.State != dedupe.Fresh || c.Crashes != 0 {
			t.Fatalf("claim %d: %+v, want fresh", k, c)
		}
		ss[k] = settlement(c, dedupe.Failed)
	}
	var errs []error
	during(t, nc, func() (err error) {
		errs, err = stores[0].Settle(t.Context(), ss)
		return err
	})
	for k, err := range errs {
		if err != nil {
			t.Errorf("settlement %d: superseded", k)
		}
	}
	for k := range rs {
		rs[k].Nonce += "-again"
	}
	during(t, nc, func() error {
		cs, err := stores[1].Claim(t.Context(), rs)
		copy(claims, cs)
		return err
	})
	for k, c := range claims {
		if c.State != dedupe.Fresh || c.Attempts != 1 || c.Crashes != 0 {
			t.Errorf("claim %d after a failure: %+v, want fresh with one attempt", k, c)
		}
	}
}

// during repeats a call until it succeeds, and makes the leader step down at its side.
func during(t *testing.T, nc *nats.Conn, call func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		natstest.StepDown(t, nc, streamName(DefaultBucket), "")
	}()
	for err := call(); err != nil; err = call() {
		if ctx.Err() != nil {
			t.Fatalf("not done within a minute: %v", err)
		}
		t.Logf("repeated after: %v", err)
		retry := time.NewTimer(50 * time.Millisecond)
		<-retry.C
	}
	<-done
}

// Processes that start at the same time, on a cluster that has no bucket yet, all start.
func TestProcessesThatStartFirstAtOnceAllStart(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t, nil)
	for round := range 2 {
		var all sync.WaitGroup
		for i := range 4 {
			nc := natstest.Connect(t, cluster.Servers[i%3].URL())
			all.Go(func() {
				s, err := New(t.Context(), nc, &Options{Bucket: fmt.Sprintf("round-%d", round), Replicas: 3, Timeout: 15 * time.Second})
				if err != nil {
					t.Errorf("New: %v", err)
					return
				}
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		all.Wait()
	}
}
