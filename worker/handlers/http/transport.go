package http

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// newTransport returns what sends requests to a URL, through the proxy that proxy names, if any.
// Redirects are answers to it: it follows none.
func newTransport(u *url.URL, o *Options, proxy func(*http.Request) (*url.URL, error)) (*http.Transport, error) {
	dialer := &net.Dialer{Timeout: httpConnect, KeepAlive: 15 * time.Second}
	t := &http.Transport{
		Proxy:                  proxy,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    httpConnect,
		TLSClientConfig:        o.TLS,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second},
		MaxIdleConns:           o.Concurrency,
		MaxIdleConnsPerHost:    o.Concurrency,
		IdleConnTimeout:        httpIdle,
		DisableCompression:     true, // bodies are only shown
		MaxResponseHeaderBytes: maxResponseBytes,
	}
	through, err := proxy(&http.Request{URL: u})
	switch {
	case err != nil:
		return nil, errors.New("HTTP_PROXY or HTTPS_PROXY in the environment is not a URL: correct it, or add the host to NO_PROXY")
	case o.Addresses != PublicAddresses:
		return t, nil
	case through != nil:
		return nil, errors.New("Options.Addresses is \"public\", but HTTP_PROXY or HTTPS_PROXY names a proxy, which resolves the host by itself: " +
			"add the host to NO_PROXY, or allow any address and have the proxy refuse what is not public")
	}
	t.Proxy, dialer.Control = nil, refuseUnlessPublic
	return t, nil
}
