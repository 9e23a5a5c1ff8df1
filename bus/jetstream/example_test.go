package jetstream_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

// An event published twice is stored once, and delivered until it is acknowledged.
func Example() {
	nc, stop := connect()
	defer stop()
	b, err := natsbus.New(nc, &natsbus.Options{Provision: &natsbus.Provision{MaxAge: 24 * time.Hour}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	ctx := context.Background()
	src, err := b.Subscribe(ctx, "order.*", "billing", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer src.Close(ctx)

	placed := bus.Event{ID: "o-17", Topic: "order.placed", Data: []byte(`{"cents":500}`)}
	for range 2 {
		receipts, err := b.Publish(ctx, placed)
		fmt.Println("duplicate:", receipts[0].Duplicate, err)
	}
	for settled := false; !settled; {
		deliveries, err := src.Fetch(ctx, 10)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, d := range deliveries {
			fmt.Println(d.Event.ID, string(d.Event.Data))
			settled = d.Ack(ctx) == nil
		}
	}
	// Output:
	// duplicate: false <nil>
	// duplicate: true <nil>
	// o-17 {"cents":500}
}

// connect starts a server in this process and connects to it. Yours is elsewhere.
func connect() (nc *nats.Conn, stop func()) {
	dir, err := os.MkdirTemp("", "onceish")
	if err != nil {
		panic(err)
	}
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true})
	if err != nil {
		panic(err)
	}
	s.Start()
	if nc, err = nats.Connect("", nats.InProcessServer(s), nats.MaxReconnects(-1)); err != nil {
		panic(err)
	}
	return nc, func() {
		nc.Close()
		s.Shutdown()
		s.WaitForShutdown()
		_ = os.RemoveAll(dir) // It is in the system's directory for such.
	}
}
