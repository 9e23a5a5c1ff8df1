// Command orders shows how an order becomes an invoice and a mail, with each step made once,
// whoever is killed when. It is three processes:
//
//	orders service   an HTTP server: takes an order, and leaves the event order.placed, in one write to the order's document
//	orders billing   a worker: turns order.placed into an invoice, and leaves invoice.issued, in one write to the invoice's document
//	worker run -c examples/orders/mail.yaml
//	                 the stock worker: runs a command for each event of an invoice, which appends a line to a file, as if it sent a mail
//
// One command runs them all, with a NATS server, and the MongoDB that is there:
//
//	./examples/orders/run.sh
//
// The service and billing change one document for each order, or each event, with UpdateOnce: the
// change, the mark that it was made, and the event that it brings about are one atomic write.
// Neither transactions nor a replica set are needed. Events wait in the documents; the drainer,
// which both processes have, moves them to the outbox and from there to NATS. A mail is an effect
// outside of the database: a process that dies after it was sent, and before that is noted, has it
// sent again, under the same idempotency key.
//
// Variables: NATS_URL and MONGODB_URI are required; LISTEN is "localhost:8080" if it is not set.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/onceish/onceish/worker"
)

func main() {
	os.Exit(exec(context.Background(), os.Args[1:], os.Getenv, os.Stderr))
}

// exec runs a process until a signal, and returns its exit status.
func exec(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	err := run(ctx, args, getenv, slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "orders:", err) // nobody else to tell
	}
	return worker.ExitStatus(err)
}

// roles are what the processes do.
var roles = map[string]func(context.Context, *shop, func(string) string) error{"service": serve, "billing": bill}

func run(ctx context.Context, args []string, getenv func(string) string, log *slog.Logger) error {
	if len(args) != 1 || roles[args[0]] == nil {
		return fmt.Errorf("%w: orders service, or orders billing; ./examples/orders/run.sh runs everything", worker.ErrUsage)
	}
	role := args[0]
	to := &worker.ConnectOptions{NATS: getenv("NATS_URL"), Store: getenv("MONGODB_URI"), Provision: true, Name: "orders " + role, Logger: log}
	return worker.Serve(ctx, role, to, &worker.Options{Logger: log}, func(ctx context.Context, w *worker.Worker) error {
		s, err := open(ctx, w)
		if err != nil {
			return err
		}
		return roles[role](ctx, s, getenv)
	})
}
