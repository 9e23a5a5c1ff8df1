package consumertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// Transport makes every request of a client a Call, named by method and path ("POST /charges"). The
// request's context must be the handler's. A nil next is http.DefaultTransport. Outside of
// a run of the kit it passes requests on as they are.
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
	if handlerRunFrom(ctx) == nil {
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
