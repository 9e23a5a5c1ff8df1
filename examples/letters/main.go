// Command letters shows how to look at dead letters: it prints each of a group's once, with its
// reason, and the next time those that came since. It needs the NATS server that the group uses:
//
//	NATS_URL=nats://localhost:4222 GROUP=billing go run ./examples/letters --until-empty
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker"
)

func main() {
	worker.Main("on-call", func(_ context.Context, w *worker.Worker) error {
		w.Handle("dead."+cmp.Or(os.Getenv("GROUP"), "billing"), reader(os.Stdout), &consumer.Options{Concurrency: 1})
		return nil
	})
}

// reader returns a handler that prints letters. Of an event that was too large for its letter the
// parts come before it, and are passed over. What is no letter is dead-lettered itself.
func reader(out io.Writer) consumer.Handler {
	return func(_ context.Context, e bus.Event) error {
		l, err := consumer.ParseLetter(e)
		switch {
		case errors.Is(err, consumer.ErrLetterPart):
			return nil
		case err != nil:
			return consumer.Permanent(err)
		case l.Parts > 0:
			l.Event.Data = fmt.Appendf(nil, "(in %d parts)", l.Parts)
		}
		_, err = fmt.Fprintf(out, "%s %s: %s (attempts: %d, crashes: %d)\n%s\n",
			l.Event.Topic, l.Event.ID, l.Reason, l.Attempts, l.Crashes, l.Event.Data)
		return err
	}
}
