package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

const (
	// httpBodyWait is how long the body of an answer may take. Its status has said all that counts.
	httpBodyWait = 200 * time.Millisecond
	// httpIdle is how long a connection is kept for the next request: less than servers keep
	// theirs (2 s and up), for a request that meets the server's closing is lost, and a run
	// sends only one.
	httpIdle = time.Second
	// httpConnect is how long a connection may take to be made, and then to be secured.
	httpConnect = 10 * time.Second
)

// Handler is a handler that posts each event to a URL. Its methods are safe for concurrent use.
type Handler struct {
	group       string
	endpoint    *url.URL
	origin      string // of the endpoint, for messages
	timeout     time.Duration
	host        string
	header      http.Header     // configured
	passHeaders map[string]bool // names of events' headers
	secrets     *secretRedactor
	statuses    map[int]Meaning
	signer      *signer // nil: requests are not signed
	gone        goneCalls
	client      *http.Transport
	send        http.RoundTripper // the client, or what is around it
}

// New returns a handler that posts each event of the group to the URL, as the package
// says. User and password in the URL are sent as basic authentication. The caller calls
// Close. Messages, also those of errors, have nothing of the URL but scheme and host, and no
// value of Options.Headers.
func New(group, endpoint string, o *Options) (*Handler, error) {
	if group == "" {
		return nil, errors.New("the group is empty: name who consumes, such as \"billing\"")
	}
	u, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, fmt.Errorf("the URL of the service: %w", err)
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	secrets, err := opts.signingSecrets()
	if err != nil {
		return nil, err
	}
	h := &Handler{
		group: group, origin: u.Scheme + "://" + u.Host, timeout: opts.Timeout,
		host: opts.Headers.Get("Host"), header: opts.Headers, passHeaders: make(map[string]bool, len(opts.PassHeaders)),
		secrets: newRedactorFor(u, opts.Headers, secrets), statuses: opts.Statuses, signer: newSigner(secrets), gone: goneCalls{onGone: opts.OnGone},
	}
	for _, name := range opts.PassHeaders {
		h.passHeaders[http.CanonicalHeaderKey(name)] = true
	}
	opts.Headers.Del("Host")
	setBasicAuth(opts.Headers, u.User)
	u.User = nil
	h.endpoint = u
	if h.client, err = newTransport(u, &opts, http.ProxyFromEnvironment); err != nil {
		return nil, err
	}
	h.send = h.client
	if opts.Transport != nil {
		h.send = opts.Transport(h.client)
	}
	return h, nil
}

// Close closes the connections that are kept. It is called after the subscription has ended.
func (h *Handler) Close() error {
	h.client.CloseIdleConnections()
	return nil
}

// Handle is a consumer.Handler. It sends one request; the next attempt is the subscription's.
func (h *Handler) Handle(ctx context.Context, e bus.Event) error {
	attempt, err := consumer.RequireAttempt(ctx)
	if err != nil {
		return err
	}
	header, err := h.requestHeaders(&e, &attempt)
	if err != nil {
		return consumer.Permanent(err)
	}
	limited, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	res, err := h.send.RoundTrip(h.newRequest(limited, header, e.Data))
	if err != nil {
		return h.unansweredError(ctx, limited, err)
	}
	body := readBody(res, cancel)
	return h.classifyResponse(ctx, res, body, attempt.Number)
}

// newRequest is a POST of the data.
func (h *Handler) newRequest(ctx context.Context, header http.Header, data []byte) *http.Request {
	r := &http.Request{
		Method: http.MethodPost, URL: h.endpoint, Host: h.host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	if len(data) > 0 {
		body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
		r.Body, _ = body()
		r.GetBody = body // for what was never sent, because the connection was closed before
		r.ContentLength = int64(len(data))
	}
	return r.WithContext(ctx)
}

// unansweredError is the error of a request without an answer. The service may have had it
// all the same.
func (h *Handler) unansweredError(ctx, limited context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("POST %s: stopped before there was an answer: %w", h.origin, context.Cause(ctx))
	case limited.Err() != nil:
		err = fmt.Errorf("POST %s: no answer within %v: %w", h.origin, h.timeout, limited.Err())
	default:
		err = fmt.Errorf("POST %s: %w", h.origin, h.secrets.cleanError(err))
	}
	return consumer.Unavailable(err)
}
