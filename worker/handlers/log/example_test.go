package log_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	loghandler "github.com/onceish/onceish/worker/handlers/log"
)

// running is the context that a subscription gives to the run of an event.
func running(e bus.Event, group string) context.Context {
	return consumer.WithAttempt(context.Background(), consumer.Attempt{
		Number: 1, IdempotencyKey: "0123456789abcdef", Key: dedupe.Key{Topic: e.Topic, Group: group, ID: e.Identity()},
	})
}

// One line for each event, without its data unless asked for.
func ExampleHandler() {
	withoutTime := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	h := loghandler.New(slog.New(slog.NewTextHandler(os.Stdout, withoutTime)), nil)
	e := bus.Event{ID: "17", Topic: "order.placed", Key: "customer-3", Data: []byte(`{"cents":5}`)}
	fmt.Println(h.Handle(running(e, "billing"), e))
	// Output:
	// level=INFO msg=event topic=order.placed id=17 source=onceish type=order.placed key=customer-3 content_type="" bytes=11 attempt=1
	// <nil>
}
