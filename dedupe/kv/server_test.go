package kv

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

var buckets atomic.Int64

// bucketOptions name a bucket that no other test uses.
func bucketOptions() *Options {
	return &Options{Bucket: fmt.Sprintf("test-%d", buckets.Add(1)), Replicas: 1}
}

func newStore(t testing.TB, nc *nats.Conn, o *Options) *Store {
	t.Helper()
	s, err := New(t.Context(), nc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func wait[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s within 20 s", what)
	}
	panic("unreachable")
}
