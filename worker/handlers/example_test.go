package handlers_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/worker/handlers"
)

// running is the context that a subscription gives to the run of an event.
func running(e bus.Event, group string) context.Context {
	return consumer.WithAttempt(context.Background(), consumer.Attempt{
		Number: 1, IdempotencyKey: "0123456789abcdef", Key: dedupe.Key{Topic: e.Topic, Group: group, ID: e.Identity()},
	})
}

// A service is told of each event, and answers by its status.
func ExampleHTTP() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Header.Get("Ce-Id"), r.Header.Get("Idempotency-Key"), string(body))
		if r.Header.Get("Ce-Id") == "order-18" {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	}))
	defer service.Close()
	h, err := handlers.NewHTTP("billing", service.URL, &handlers.HTTPOptions{Headers: http.Header{"X-Api-Key": {"secret"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	for _, id := range []string{"order-17", "order-18"} {
		e := bus.Event{ID: id, Topic: "order.placed", Data: []byte(`{"cents":5}`)}
		err := h.Handle(running(e, "billing"), e)
		fmt.Println("failed:", err != nil, "for ever:", consumer.IsPermanent(err))
	}
	// Output:
	// order-17 "0123456789abcdef" {"cents":5}
	// failed: false for ever: false
	// order-18 "0123456789abcdef" {"cents":5}
	// failed: true for ever: true
}

// An event that is published twice, because the first confirmation was lost, is on the
// other topic once.
func ExamplePublish() {
	b, err := membus.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := handlers.NewPublish(b, "invoice.due")
	if err != nil {
		fmt.Println(err)
		return
	}
	e := bus.Event{ID: "17", Topic: "order.placed", Data: []byte(`{"cents":5}`)}
	for range 2 {
		fmt.Println(h.Handle(running(e, "billing"), e))
	}
	ctx := context.Background()
	source, err := b.Subscribe(ctx, "invoice.due", "accounting", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close(ctx)
	deliveries, _ := source.Fetch(ctx, 10)
	for _, d := range deliveries {
		fmt.Println(d.Event.ID, d.Event.Headers.Get(handlers.HeaderOriginTopic), string(d.Event.Data))
	}
	// Output:
	// <nil>
	// <nil>
	// order.placed::billing::17 order.placed {"cents":5}
}

// One line for each event, without its data unless asked for.
func ExampleLog() {
	withoutTime := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	h := handlers.NewLog(slog.New(slog.NewTextHandler(os.Stdout, withoutTime)), nil)
	e := bus.Event{ID: "17", Topic: "order.placed", Key: "customer-3", Data: []byte(`{"cents":5}`)}
	fmt.Println(h.Handle(running(e, "billing"), e))
	// Output:
	// level=INFO msg=event topic=order.placed id=17 source=onceish type=order.placed key=customer-3 content_type="" bytes=11 attempt=1
	// <nil>
}
