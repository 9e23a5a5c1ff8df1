package http

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/onceish/onceish/internal/testing/handlertest"
)

// roundTripper is a function that sends a request.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What is around the transport sees each request, and what comes of it is judged as ever.
func TestTransportIsAroundTheHandlersOwn(t *testing.T) {
	t.Parallel()
	var got, sent atomic.Int32
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got.Add(1)
		if r.Header.Get("Traceparent") != "added" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	cut := errors.New("the wire is cut")
	h := newHTTP(t, endpoint, &Options{Transport: func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if sent.Add(1) == 2 {
				return nil, cut
			}
			r = r.Clone(r.Context())
			r.Header.Set("Traceparent", "added")
			return next.RoundTrip(r)
		})
	}})
	if err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed()); err != nil {
		t.Error(err)
	}
	if err := h.Handle(handlertest.Attempt(t, 2), handlertest.Placed()); !errors.Is(err, cut) || handlertest.MeaningOf(err) != handlertest.Unavailable {
		t.Errorf("%v, want that the receiver is unavailable", err)
	}
	if got.Load() != 1 || sent.Load() != 2 {
		t.Errorf("%d requests sent, %d arrived", sent.Load(), got.Load())
	}
}
