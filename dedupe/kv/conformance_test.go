package kv

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/dedupe/dedupetest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance(t, natstest.Start(t, nil).Connect(t))
}

func TestConformanceOldest(t *testing.T) {
	t.Parallel()
	conformance(t, natstest.StartVersion(t, OldestServer).Connect(t))
}

func conformance(t *testing.T, nc *nats.Conn) {
	t.Helper()
	dedupetest.Run(t, dedupetest.Harness{
		New: func(t *testing.T) dedupetest.Subject { return subject(t, nc, func(*jetstream.StreamConfig) {}) },
		Bounded: func(t *testing.T) dedupetest.Subject {
			return subject(t, nc, func(c *jetstream.StreamConfig) { c.MaxMsgs = 100 })
		},
		Lease: 400 * time.Millisecond, TTL: 2 * time.Second,
	})
}

// TestFullInBytes: a bucket at its max_bytes can renew and settle what it has let in.
func TestFullInBytes(t *testing.T) {
	t.Parallel()
	fullInBytes(t, natstest.Start(t, nil).Connect(t))
}

func fullInBytes(t *testing.T, nc *nats.Conn) {
	t.Helper()
	dedupetest.RunFull(t, dedupetest.Harness{
		Bounded: func(t *testing.T) dedupetest.Subject {
			return subject(t, nc, func(c *jetstream.StreamConfig) { c.MaxBytes = 256 << 10 })
		},
		Lease: 400 * time.Millisecond, TTL: 2 * time.Second,
	})
}

func subject(t *testing.T, nc *nats.Conn, edit func(*jetstream.StreamConfig)) dedupetest.Subject {
	t.Helper()
	o := bucketOptions()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c := bucketConfig(&r)
	edit(&c)
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, nc, o)
	f := &faulty{requester: s.requests, kept: s.kept}
	s.requests = f
	return dedupetest.Subject{
		Store: s,
		Skewed: func(t *testing.T, d time.Duration) dedupe.Store {
			t.Helper()
			other, err := openWithClock(t.Context(), nc, o, func() time.Time { return time.Now().Add(d) })
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = other.Close() })
			return other
		},
		Newer: func(t *testing.T, k dedupe.Key) {
			t.Helper()
			if _, err := nc.Request(s.subject+eventKey(k), []byte(`{"v":2,"state":"done"}`), 5*time.Second); err != nil {
				t.Fatal(err)
			}
		},
		Fault:   f.fault,
		Partial: func(k dedupe.Key) func() bool { return f.partial(s.subject + eventKey(k)) },
		Refuse:  f.refuse,
	}
}

// faulty fails calls between the store and its server.
type faulty struct {
	requester
	kept string

	mu      sync.Mutex
	armed   bool
	after   int
	applied bool
	victim  string
	refused bool
}

var errInjected = errors.New("injected")

func (f *faulty) fault(n int, applied bool) func() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.after, f.applied = true, n, applied
	return f.disarm
}

func (f *faulty) partial(subject string) func() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.victim = subject
	return f.disarm
}

func (f *faulty) refuse(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = on
}

// disarm reports whether the fault came to pass.
func (f *faulty) disarm() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	fired := !f.armed && f.victim == ""
	f.armed, f.victim = false, ""
	return fired
}

// strike reports whether this call fails, and whether it is carried out.
func (f *faulty) strike() (fails, applied bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refused {
		return true, false
	}
	if !f.armed {
		return false, true
	}
	f.after--
	if f.after >= 0 {
		return false, true
	}
	f.armed = false
	return true, f.applied
}

func (f *faulty) sendAll(ctx context.Context, n int, request func(i int) *nats.Msg) ([]*nats.Msg, error) {
	if n == 0 {
		return nil, nil
	}
	fails, applied := f.strike()
	if fails && !applied {
		return nil, errInjected
	}
	var msgs []*nats.Msg
	lost := false
	for i := range n {
		m := request(i)
		f.mu.Lock()
		if f.victim == m.Subject {
			f.victim, lost = "", true
		} else {
			msgs = append(msgs, m)
		}
		f.mu.Unlock()
	}
	answers, err := f.requester.sendAll(ctx, len(msgs), func(i int) *nats.Msg { return msgs[i] })
	if err == nil && (fails || lost) {
		return nil, errInjected
	}
	return answers, err
}
