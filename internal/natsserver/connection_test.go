package natsserver_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/internal/natsserver"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/natstest"
)

func options(lease time.Duration) nats.Options {
	o := nats.GetDefaultOptions()
	for _, set := range natsserver.ConnectionOptions(lease) {
		if err := set(&o); err != nil {
			panic(err)
		}
	}
	return o
}

// A frozen server is noticed so early that what is renewed at a third of its length is renewed over
// another server in time.
func TestAFrozenServerIsNoticedWithinAThirdOfALease(t *testing.T) {
	t.Parallel()
	for _, lease := range []time.Duration{0, 5 * time.Second, 30 * time.Second, 90 * time.Second, 24 * time.Hour} {
		o, length := options(lease), lease
		if lease == 0 {
			length = natsserver.DefaultLease
		}
		if within := natsserver.NoticesWithin(&o); within > length/3 || natsserver.NoticesTooLate(&o, length) {
			t.Errorf("lease %v: noticed within %v; want a third of it", length, within)
		}
		if o.MaxReconnect >= 0 || !o.IgnoreAuthErrorAbort {
			t.Errorf("lease %v: the connection is given up some day", lease)
		}
	}
	o := nats.GetDefaultOptions()
	if !natsserver.NoticesTooLate(&o, natsserver.DefaultLease) {
		t.Errorf("the client's defaults are taken for good: %v", natsserver.NoticesWithin(&o))
	}
}

// Where a lease is too short for any connection, the shortest one that is not is known.
func TestShortLeases(t *testing.T) {
	t.Parallel()
	o, slow := options(time.Second), options(time.Minute)
	if !natsserver.NoticesTooLate(&o, time.Second) || !natsserver.NoticesAsEarlyAsPossible(&o, time.Second) {
		t.Errorf("noticed within %v, which no options better", natsserver.NoticesWithin(&o))
	}
	if natsserver.NoticesAsEarlyAsPossible(&slow, time.Second) {
		t.Error("options for a longer lease are taken for the best")
	}
	if n := natsserver.ShortestLength(&o); natsserver.NoticesTooLate(&o, n) || !natsserver.NoticesTooLate(&o, n-1) {
		t.Errorf("%v is not the shortest length that is long enough", n)
	}
}

// A connection leaves a server that is frozen before a lease ends.
func TestAFrozenServerIsLeft(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	frozen, err := proxy.New(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(frozen.Close)
	const lease = 9 * time.Second
	left := make(chan struct{}, 1)
	nc, err := nats.Connect("nats://"+frozen.Addr()+","+server.URL(), append(natsserver.ConnectionOptions(lease),
		nats.DontRandomize(), nats.ReconnectHandler(func(*nats.Conn) { left <- struct{}{} }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if nc.ConnectedAddr() != frozen.Addr() {
		t.Fatalf("connected to %s; want %s", nc.ConnectedAddr(), frozen.Addr())
	}
	frozen.Blackhole(proxy.ToServer, true)
	frozen.Blackhole(proxy.ToClient, true)
	select {
	case <-left:
	case <-time.After(lease):
		t.Error("still connected to the frozen server when a lease has ended")
	}
}

// A server that refuses a login does not end the connection: it is back once the server
// takes it again.
func TestRefusedLoginsDoNotCloseTheConnection(t *testing.T) {
	t.Parallel()
	user := func(password string) func(o *server.Options) {
		return func(o *server.Options) { o.Username, o.Password = "u", password }
	}
	s := natstest.Start(t, user("right"))
	refused := make(chan error, 100)
	nc, err := nats.Connect(s.URL(), append(natsserver.ConnectionOptions(time.Second), nats.UserInfo("u", "right"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s.Stop()
	s.Configure(user("changed"))
	s.Start(t)
	for range 4 {
		select {
		case <-refused:
		case <-time.After(20 * time.Second):
			t.Fatalf("it no longer tries: %v", nc.Status())
		}
	}
	s.Stop()
	s.Configure(user("right"))
	s.Start(t)
	for limit := time.Now().Add(20 * time.Second); !nc.IsConnected(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) || nc.IsClosed() {
			t.Fatalf("not connected again: %v, %v", nc.Status(), nc.LastError())
		}
	}
}
