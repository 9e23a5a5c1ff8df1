package config

import (
	"net/http"
	"testing"

	"github.com/onceish/onceish/worker/handlers"
)

// What is refused here is what the handler would refuse when the worker starts, and the other way round.
func TestHeadersAreThoseThatTheHandlerTakes(t *testing.T) {
	t.Parallel()
	for _, name := range append(ownHeaders(), "Authorization", "Cookie", "Host", "User-Agent", "X-Mine", "Content-Type", "Nats-X", "Traceparent", "Onceish-Mine", "Ce-Mine", "Proxy-Authorization", "a b", "") {
		x, err := handlers.NewHTTP("g", "http://localhost", &handlers.HTTPOptions{Headers: http.Header{http.CanonicalHeaderKey(name): {"v"}}})
		if ours := validHeaderName(name); (err == nil) != (ours == nil) {
			t.Errorf("%s: %v, and the handler says %v", name, ours, err)
		}
		if err != nil {
			continue
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMeaningsAreThoseThatTheHandlerTakes(t *testing.T) {
	t.Parallel()
	ours := meanings()
	for i, m := range handlers.Meanings() {
		if i >= len(ours) || ours[i] != string(m) {
			t.Errorf("%v, and the handler takes %v", ours, handlers.Meanings())
		}
	}
}
