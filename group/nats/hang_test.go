package nats

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// A watch that is ended while its server hangs ends at once, and the session with it.
func TestAWatchEndsThoughItsServerHangs(t *testing.T) {
	t.Parallel()
	p, err := proxy.New(natstest.Start(t, nil).Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	nc, err := nats.Connect("nats://" + p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	store, err := New(t.Context(), nc, quiet(&Options{}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watching, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- store.Watch(ctx, "g", func() { watching <- struct{}{} }) }()
	<-watching
	p.Blackhole(proxy.ToServer, true)
	p.Blackhole(proxy.ToClient, true)
	cancel()
	begun := time.Now()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 2*time.Second { // a request to the server takes 5 s to fail
		t.Errorf("it ended after %v", took)
	}
}
