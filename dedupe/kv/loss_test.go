package kv

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// behindProxy makes a store behind a proxy, and a watcher of the same bucket beside it.
func behindProxy(t *testing.T, o *Options) (s *Store, p *proxy.Proxy, watcher jetstream.KeyValue, back <-chan struct{}) {
	t.Helper()
	srv := natstest.Start(t, nil)
	p, err := proxy.New(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	reconnected := make(chan struct{}, 1)
	nc := natstest.Connect(t, "nats://"+p.Addr(), nats.ReconnectHandler(func(*nats.Conn) { reconnected <- struct{}{} }))
	s = newStore(t, nc, o)
	js, err := jetstream.New(srv.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if watcher, err = js.KeyValue(t.Context(), s.bucket); err != nil {
		t.Fatal(err)
	}
	return s, p, watcher, reconnected
}

// loseAnswer makes a call on the key a, which sends its write at once. The write is done, and its
// answer is lost.
func loseAnswer(t *testing.T, p *proxy.Proxy, watcher jetstream.KeyValue, what string, call func() error) {
	t.Helper()
	w, err := watcher.Watch(t.Context(), eventKey(testKey("a")), jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Stop() }()
	p.Blackhole(proxy.ToClient, true)
	failed := make(chan error, 1)
	go func() { failed <- call() }()
	wait(t, w.Updates(), "write of "+what)
	p.Cut()
	p.Blackhole(proxy.ToClient, false)
	if err := wait(t, failed, "end of the call"); !errors.Is(err, ErrDisconnected) {
		t.Fatalf("the call whose connection is cut: %v, want ErrDisconnected", err)
	}
}

// TestCutThenRepeat loses the answer to each kind of write, and repeats it.
func TestCutThenRepeat(t *testing.T) {
	t.Parallel()
	s, p, watcher, back := behindProxy(t, nil)
	ctx := t.Context()

	r := ask("a", "n1")
	loseAnswer(t, p, watcher, "claim", func() error { _, err := s.Claim(ctx, []dedupe.Request{r}); return err })
	wait(t, back, "reconnect")
	c := claimAs(t, s, r)
	if c.State != dedupe.Fresh || c.Crashes != 0 || c.Token == 0 {
		t.Fatalf("a repeated claim: %+v, want its own", c)
	}
	again := claimAs(t, s, r)
	if again.Token != c.Token {
		t.Errorf("repeats have the tokens %d and %d, want one", c.Token, again.Token)
	}

	loseAnswer(t, p, watcher, "extension", func() error { _, err := s.Extend(ctx, []dedupe.Claim{c}, time.Minute, time.Hour); return err })
	wait(t, back, "reconnect")
	if errs, err := s.Extend(ctx, []dedupe.Claim{c}, time.Minute, time.Hour); err != nil || errs[0] != nil {
		t.Fatalf("a repeated extension: %v, %v", errs, err)
	}

	for _, o := range []dedupe.Outcome{dedupe.Failed, dedupe.GivenUp, dedupe.DeadLettered} {
		ss := []dedupe.Settlement{settlement(c, o)}
		ss[0].CountAttempt = true
		loseAnswer(t, p, watcher, o.String(), func() error { _, err := s.Settle(ctx, ss); return err })
		wait(t, back, "reconnect")
		for range 2 {
			if errs, err := s.Settle(ctx, ss); err != nil || errs[0] != nil {
				t.Fatalf("repeated as %v: %v, %v", o, errs, err)
			}
		}
		if o == dedupe.Failed {
			if c = claimOne(t, s, "a", "n2"); c.State != dedupe.Fresh || c.Attempts != 1 {
				t.Fatalf("after a failure: %+v, want one attempt", c)
			}
		}
	}
	if c = claimOne(t, s, "a", "n3"); c.State != dedupe.Dead || c.Attempts != 2 {
		t.Errorf("in the end: %+v, want dead with two attempts", c)
	}
}

// TestNoAnswer: a call ends in its time when nothing comes back, and leaves the window free.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	s, p, _, _ := behindProxy(t, &Options{Timeout: time.Second, Window: 10})
	p.Blackhole(proxy.ToClient, true)
	rs := make([]dedupe.Request, 50)
	for i := range rs {
		rs[i] = ask(fmt.Sprint(i), fmt.Sprint("n", i))
	}
	start := time.Now()
	_, err := s.Claim(t.Context(), rs)
	if took := time.Since(start); !errors.Is(err, ErrNoAnswer) || took > 5*time.Second {
		t.Errorf("Claim into the void: %v after %v, want ErrNoAnswer after 1s", err, took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := each(s.Reopen(ctx, []dedupe.Key{{}})); !errors.Is(err, context.Canceled) {
		t.Errorf("Reopen under an ended context: %v, want context.Canceled", err)
	}
	p.Blackhole(proxy.ToClient, false) // the late answers come first, and are nobody's
	cs, err := s.Claim(t.Context(), rs)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cs {
		if c.State != dedupe.Fresh || c.Crashes != 0 {
			t.Fatalf("repeated: %+v, want fresh", c)
		}
	}
	x, ok := s.requests.(*pipelinedRequester)
	if !ok {
		t.Fatalf("requester is a %T", s.requests)
	}
	if requests, batches := x.pipeline.Pending(); requests != 0 || batches != 0 {
		t.Errorf("%d places of the window and %d batches are taken", requests, batches)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, nil)
	nc := srv.Connect(t)
	s, other := newStore(t, nc, nil), newStore(t, nc, nil)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := s.Seen(t.Context(), []dedupe.Key{{}}); !errors.Is(err, ErrClosed) {
		t.Errorf("Seen after Close: %v, want ErrClosed", err)
	}
	if err := each(other.Mark(t.Context(), []dedupe.Mark{{State: dedupe.Done, TTL: time.Hour}})); err != nil {
		t.Errorf("another store on the connection: %v", err)
	}
	nc.Close()
	if _, err := other.Claim(t.Context(), []dedupe.Request{ask("a", "n")}); !errors.Is(err, ErrClosed) {
		t.Errorf("Claim on a closed connection: %v, want ErrClosed", err)
	}
	if _, err := New(t.Context(), nc, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("New on a closed connection: %v, want ErrClosed", err)
	}
}

// TestLostBucket: a bucket that is deleted under the store is an error that says so.
func TestLostBucket(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	s := newStore(t, nc, nil)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteKeyValue(t.Context(), DefaultBucket); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(t.Context(), []dedupe.Request{ask("a", "n")}); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("Claim: %v, want ErrNoAnswer", err)
	}
	if _, err := s.Seen(t.Context(), []dedupe.Key{{}}); !errors.Is(err, ErrNoBucket) {
		t.Errorf("Seen: %v, want ErrNoBucket", err)
	}
}
