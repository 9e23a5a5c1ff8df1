package http_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	httphandler "github.com/onceish/onceish/worker/handlers/http"
)

// running is the context that a subscription gives to the run of an event.
func running(e bus.Event, group string) context.Context {
	return consumer.WithAttempt(context.Background(), consumer.Attempt{
		Number: 1, IdempotencyKey: "0123456789abcdef", Key: dedupe.Key{Topic: e.Topic, Group: group, ID: e.Identity()},
	})
}

// A service is told of each event, and answers by its status.
func ExampleHandler() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Header.Get("Ce-Id"), r.Header.Get("Idempotency-Key"), string(body))
		if r.Header.Get("Ce-Id") == "order-18" {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	}))
	defer service.Close()
	h, err := httphandler.New("billing", service.URL, &httphandler.Options{Headers: http.Header{"X-Api-Key": {"secret"}}})
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
