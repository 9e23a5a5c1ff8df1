package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
)

func TestAPI(t *testing.T) {
	t.Parallel()
	events, err := membus.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	fine := func() error { return nil }
	ill := func() error { return errors.New("the dedupe store does not answer") }
	for name, c := range map[string]struct {
		method, path, body string
		events             bus.Publisher
		healthy            func() error
		status             int
		says               string
	}{
		"healthy":           {"GET", "/healthz", "", events, fine, 200, ""},
		"not healthy":       {"GET", "/healthz", "", events, ill, 503, "the dedupe store does not answer"},
		"an order":          {"POST", "/orders", `{"id":"1","cents":500}`, events, fine, 202, ""},
		"the same again":    {"POST", "/orders", `{"id":"1","cents":500}`, events, fine, 202, ""},
		"no id":             {"POST", "/orders", `{"cents":500}`, events, fine, 400, "want"},
		"no JSON":           {"POST", "/orders", `{`, events, fine, 400, "want"},
		"the bus is away":   {"POST", "/orders", `{"id":"1","cents":500}`, away{}, fine, 503, "no servers"},
		"nothing like that": {"GET", "/orders", "", events, fine, 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			api(c.events, c.healthy).ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, c.status, c.says)
			}
		})
	}
}

// away is a bus that cannot be reached.
type away struct{}

func (away) Publish(context.Context, ...bus.Event) ([]bus.Receipt, error) {
	return nil, errors.New("no servers available")
}

func TestBank(t *testing.T) {
	t.Parallel()
	handler := consumer.JSON(new(bank).charge)
	ctx := consumer.WithAttempt(t.Context(), consumer.Attempt{Number: 1, IdempotencyKey: "key"})
	if err := handler(ctx, bus.Event{ID: "1", Data: []byte(`{"id":"1","cents":500}`)}); err != nil {
		t.Error(err)
	}
	if err := handler(ctx, bus.Event{ID: "1", Data: []byte(`{"id":"1","cents":0}`)}); !consumer.IsPermanent(err) {
		t.Errorf("%v, want a permanent error", err)
	}
}
