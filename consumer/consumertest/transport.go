package consumertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Transport makes every request of a client a Call, named by method and path ("POST /charges"). The
// request's context must be the handler's, or derived from it: under another one the request is
// sent, and is no Call. A nil next is http.DefaultTransport. Outside of a run of the kit it passes
// requests on as they are.
//
// In a run it reads the response as a whole, and keeps no connection: an idle connection to a real
// server would hold up the clock of the bubble.
func Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return transport{next}
}

type transport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(request *http.Request) (response *http.Response, err error) {
	ctx := request.Context()
	switch {
	case handlerRunFrom(ctx) != nil:
	case hasBubbleClock():
		return t.exchange(request.Clone(ctx))
	default:
		return t.next.RoundTrip(request)
	}
	sent := false
	err = Call(ctx, request.Method+" "+request.URL.Path, func(ctx context.Context) (err error) {
		sent = true
		response, err = t.exchange(request.Clone(ctx)) //nolint:bodyclose // the client closes it
		return err
	})
	if err == nil {
		return response, nil
	}
	if !sent && request.Body != nil {
		_ = request.Body.Close() // nothing reads it; a RoundTripper has to close it
	}
	return nil, err
}

// hasBubbleClock reports whether it is called within a bubble, the clock of which begins in the
// year 2000. There is no other sign of one: the context is not the handler's.
func hasBubbleClock() bool { return time.Now().Year() < 2020 }

// exchange sends the request on a connection of its own, and reads the response.
func (t transport) exchange(request *http.Request) (*http.Response, error) {
	t.CloseIdleConnections() // those that were made outside of the bubble cannot be used within
	defer t.CloseIdleConnections()
	request.Close = true
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// CloseIdleConnections is found by http.Client.CloseIdleConnections.
func (t transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
