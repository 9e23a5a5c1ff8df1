// Command alerts shows deferral in a service without a subscription: of the alerts of a host one is
// sent at once, and a summary of the rest in five minutes. It needs a NATS server, which keeps the
// marks and the alerts that wait:
//
//	NATS_URL=nats://localhost:4222 go run ./examples/alerts
//	curl -d '{"id":"1","host":"db-1","text":"the disk is full"}' localhost:8080/alerts
//
// It ends on SIGTERM and SIGINT. What waits then is summed up by the next process.
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
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
)

// oneInFiveMinutes is one alert of a host at once, and the others together.
var oneInFiveMinutes = deferral.Config{
	Rate:     flow.Rate{Limit: 1, Per: 5 * time.Minute, Strategy: flow.FixedWindow},
	Interval: 5 * time.Minute,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cmp.Or(os.Getenv("LISTEN"), "localhost:8080"))
	if err == nil {
		err = serve(ctx, listener, cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), oneInFiveMinutes, logPager{})
	}
	stop()
	if err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

// serve takes alerts until ctx ends, and returns once everything has ended.
func serve(ctx context.Context, listener net.Listener, natsURL string, c deferral.Config, p pager) error {
	nc, err := nats.Connect(natsURL, natsbus.ConnectionOptions(0)...)
	if err != nil {
		return err
	}
	defer nc.Close()
	events, err := natsbus.New(nc, &natsbus.Options{Provision: &natsbus.Provision{}})
	if err != nil {
		return err
	}
	defer events.Close()
	store, err := kvdedupe.New(ctx, nc, nil)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // it keeps nothing back
	tracker, err := deferral.Open(ctx, events, store, "pager", c, summarize(p), nil)
	if err != nil {
		return err
	}
	var g run.Group
	g.Add(run.ContextHandler(ctx))
	g.Add(tracker.Actor())
	server := &http.Server{Handler: api(tracker, p), ReadHeaderTimeout: 10 * time.Second}
	g.Add(func() error { return server.Serve(listener) }, func(error) { shutDown(server) })
	err = g.Run()
	if ctx.Err() != nil {
		err = nil // it was told to end
	}
	return err
}

// shutDown lets requests finish, for a while.
func shutDown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
		slog.Error("requests were cut off", "error", err)
	}
}
