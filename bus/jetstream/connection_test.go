package jetstream

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestStateIsKnownWhileAServerDoesNotAnswer: the client holds its lock for as long as it waits for
// a server, and whoever asks how things are must not wait for that.
func TestStateIsKnownWhileAServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	nc := natstest.Connect(t, s.URL(), nats.Timeout(time.Minute))
	l := watchConnection(nc)
	up := l.current()
	s.Stop()
	<-up.changed
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan struct{})
	go func() {
		defer close(waits)
		_ = nc.LastError() // held up, as is all else that asks the client
	}()
	answered := make(chan error, 1)
	go func() { answered <- l.sendError(l.current()) }()
	select {
	case err := <-answered:
		if !errors.Is(err, nats.ErrDisconnected) {
			t.Error(err)
		}
	case <-waits:
		t.Error("the client waits for no server")
	case <-time.After(30 * time.Second):
		t.Error("it waits for the server")
	}
	_ = silent.Close()
	_ = conn.Close()
	<-waits
	l.close()
}
