// Command service shows a consumer inside of a service that has a main function, an HTTP API and
// clients of its own. Orders that are posted are published, and charged once each by the same
// process. It needs a NATS server, and keeps marks there, or in MongoDB if there is one:
//
//	NATS_URL=nats://localhost:4222 MONGODB_URI=mongodb://localhost:27017 go run ./examples/service
//	curl -d '{"id":"1","cents":500}' localhost:8080/orders
//	curl localhost:8080/healthz
//
// It ends on SIGTERM and SIGINT: requests and handlers that run may finish, then the
// clients are closed.
package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/oklog/run"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cmp.Or(os.Getenv("LISTEN"), "localhost:8080"))
	if err == nil {
		err = serve(ctx, listener, servers{
			NATS: cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), Mongo: os.Getenv("MONGODB_URI"), Database: "service",
		}, consumer.JSON(new(bank).charge))
	}
	stop()
	if err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

// serve returns once everything has ended. The clients are closed after that, the last first.
func serve(ctx context.Context, listener net.Listener, at servers, charge consumer.Handler) error {
	nc, err := nats.Connect(at.NATS, natsbus.ConnectionOptions(0)...)
	if err != nil {
		return err
	}
	defer nc.Close()
	events, err := natsbus.New(nc, &natsbus.Options{Provision: &natsbus.Provision{}})
	if err != nil {
		return err
	}
	defer events.Close()
	store, closing, err := at.store(ctx, nc)
	if err != nil {
		return err
	}
	defer closing()

	sub, err := consumer.SubscribeExactlyOnce(ctx, events, topic, "billing", store, charge, nil)
	if err != nil {
		return err
	}
	var g run.Group
	g.Add(run.ContextHandler(ctx))
	g.Add(sub.Actor())
	server := &http.Server{Handler: api(events, sub.Healthy), ReadHeaderTimeout: 10 * time.Second}
	g.Add(func() error { return server.Serve(listener) }, func(error) { shutDown(server) })
	err = g.Run()
	if ctx.Err() != nil {
		err = nil // it was told to end
	}
	return errors.Join(err, sub.Err()) // a group keeps only the first error
}

// shutDown lets requests finish, for a while. The group waits for it, and the subscription
// drains meanwhile.
func shutDown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		slog.Error("requests were cut off", "error", err)
	}
}
