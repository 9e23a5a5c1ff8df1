package main

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"time"

	"github.com/onceish/onceish/worker"
)

// serve adds the HTTP server.
func serve(ctx context.Context, s *shop, getenv func(string) string) error {
	if err := s.stream(ctx, "order.*"); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cmp.Or(getenv("LISTEN"), "localhost:8080"))
	if err != nil {
		return err
	}
	book := &book{once: s.once, orders: s.db.Collection("orders")}
	server := &http.Server{Handler: api(book), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.Add(worker.Actor{
		Name: "HTTP server at " + listener.Addr().String(),
		Run:  func() error { return answer(ctx, server, listener) },
		Stop: func(error) { stop() },
	})
	return nil
}

// answer answers requests until ctx ends. Those that run may finish.
func answer(ctx context.Context, server *http.Server, listener net.Listener) error {
	var err error
	served := make(chan struct{})
	go func() {
		defer close(served)
		err = server.Serve(listener)
	}()
	select {
	case <-served:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	cut := server.Shutdown(ctx)
	<-served
	return cut
}
