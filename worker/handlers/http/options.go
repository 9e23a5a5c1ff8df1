package http

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/onceish/onceish/worker/internal/header"
)

// Options of New. The zero value means the defaults.
type Options struct {
	// Timeout of a whole exchange, connecting included, from 1 ms to 24 h. Zero: 30 s. A run has
	// its own limit, consumer.Options.RunLimit.
	Timeout time.Duration
	// Headers are sent with every request, in place of the same ones of events. Their values are
	// taken as secrets.
	Headers http.Header
	// PassHeaders are the names of headers that events bring to the service, beside trace context
	// (traceparent, tracestate, baggage), Content-Encoding, Content-Language, CloudEvents
	// extensions and Onceish's own. No event brings a header that frames or authorizes a request,
	// or says who sends it.
	PassHeaders []string
	// Concurrency is how many connections are kept between requests: as many as handlers run at
	// once. Zero: 16.
	Concurrency int
	// Statuses are what statuses mean where the service does not keep to the usual;
	// see the package.
	Statuses map[int]Meaning
	// TLS configures https: authorities, client certificates. It is not changed. Nil: the
	// authorities of the system.
	TLS *tls.Config
	// SigningSecrets sign requests as Standard Webhooks has it: each is "whsec_" and a key of 24
	// to 64 bytes in base64. Each adds a signature, so that an endpoint which changes its secret
	// knows one of two. SigningSecretFiles are files with one secret each, read by New. At most 10
	// together. Default: requests are not signed.
	SigningSecrets, SigningSecretFiles []string
	// Addresses says to which addresses connections are made, once a name is resolved. With
	// PublicAddresses a proxy is refused, for it resolves names by itself. Default: AnyAddress.
	Addresses Addresses
	// OnGone stops what posts to an endpoint that is gone for good (410), such as by a pause of the
	// subscription, and returns once nothing starts here. endpoint is its scheme and host. It is
	// called in a run, with that run's context, once for all runs that fail so meanwhile, and again
	// for those that fail later. After nil the events of these runs are throttled, and no attempt
	// is counted; after an error they are unavailable. Default: they are unavailable, and wait for
	// 5 min.
	OnGone func(ctx context.Context, endpoint string) error
	// Transport returns what sends requests by the handler's own transport, such as
	// telemetry.Traces.RoundTripper. It sends each request once. Default: the handler's own.
	Transport func(http.RoundTripper) http.RoundTripper
}

const (
	defaultHTTPTimeout = 30 * time.Second
	maxHTTPTimeout     = 24 * time.Hour
	defaultConcurrency = 16
	maxConcurrency     = 100_000
)

func (o *Options) withDefaults() (Options, error) {
	c := *cmp.Or(o, &Options{})
	c.Timeout = cmp.Or(c.Timeout, defaultHTTPTimeout)
	c.Concurrency = cmp.Or(c.Concurrency, defaultConcurrency)
	c.Addresses = cmp.Or(c.Addresses, AnyAddress)
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
	}
	switch {
	case c.Timeout < time.Millisecond || c.Timeout > maxHTTPTimeout:
		return c, fmt.Errorf("Options.Timeout is %v: it must be from 1ms to %v, or 0 for %v", c.Timeout, maxHTTPTimeout, defaultHTTPTimeout)
	case c.Concurrency < 1 || c.Concurrency > maxConcurrency:
		return c, fmt.Errorf("Options.Concurrency is %d: it must be from 1 to %d, or 0 for %d", c.Concurrency, maxConcurrency, defaultConcurrency)
	case c.Addresses != AnyAddress && c.Addresses != PublicAddresses:
		return c, fmt.Errorf("Options.Addresses is %.64q: it must be %q or %q", c.Addresses, AnyAddress, PublicAddresses)
	}
	if err := checkStatuses(c.Statuses); err != nil {
		return c, err
	}
	c.Statuses = maps.Clone(c.Statuses)
	for _, name := range c.PassHeaders {
		if err := header.Passable(name); err != nil {
			return c, fmt.Errorf("Options.PassHeaders has %.64q: %w", name, err)
		}
	}
	headers, err := canonicalHeaders(c.Headers)
	c.Headers = headers
	return c, err
}

// canonicalHeaders are headers under their canonical names, with those that every request has. Its
// errors show no values.
func canonicalHeaders(headers http.Header) (http.Header, error) {
	out := http.Header{"User-Agent": {"onceish"}}
	for name, values := range headers {
		if err := header.Settable(name); err != nil {
			return nil, fmt.Errorf("Options.Headers: %w", err)
		}
		canonical := http.CanonicalHeaderKey(name)
		for _, v := range values {
			if i := header.IllegalByte(v); i >= 0 {
				return nil, fmt.Errorf("Options.Headers has a control character in the value of %s, at byte %d of %d: a line break from a file?", canonical, i, len(v))
			}
		}
		out[canonical] = append([]string(nil), values...)
	}
	return out, nil
}
