package http

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/handlertest"
	"github.com/onceish/onceish/worker/internal/header"
)

// What publishers say stays data: a service gets the headers that are known or allowed, and none
// that frames the request, authorizes it, or that a service could take for such a one because it
// cannot tell an underscore from a dash.
func TestHTTPPassesKnownAndAllowedHeadersOnly(t *testing.T) {
	t.Parallel()
	h, err := New("g", "http://localhost", &Options{PassHeaders: []string{"x-tenant", "B3"}})
	if err != nil {
		t.Fatal(err)
	}
	out := make(http.Header)
	for _, name := range append(impassable(), "X-Custom", "X-Custom-Role", "X_Tenant", "ce-a-b", "X-User", "Remote-Groups") {
		h.passHeader(out, name, []string{"x"})
	}
	if len(out) > 0 {
		t.Errorf("passed %v", out)
	}
	for _, name := range []string{
		"traceparent", "tracestate", "baggage", "X-Tenant", "b3", "ce-tenant", "Content-Encoding", "content-language", "Onceish-Dead-Reason", "Onceish-Letter",
	} {
		h.passHeader(out, name, []string{"x", "a\r\nX-Evil: 1", "\x00", "y\tz"})
		if got := strings.Join(out.Values(name), "|"); got != "x|y\tz" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// impassable are names that cannot be allowed either.
func impassable() []string {
	return []string{
		"connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Proxy-Authorization", "Proxy-Connection",
		"Content-Length", "Content-Type", "Expect", "Host", "Authorization", "cookie", "Set-Cookie", "Origin", "Forwarded", "x-forwarded-for",
		"X-Forwarded-Host", "X-Real-IP", "X-HTTP-Method-Override", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "Sec-Fetch-Site",
		"Nats-Msg-Id", "CE-ID", "ce-source", "ce-datacontenttype", "idempotency-key", "x-idempotency-key", "onceish-attempt", "Onceish-Group",
		"Onceish-Topic", "User-Agent", "", " a", "a b", "a\r\nb", "a:b", "ä", "a\x00", "Proxy", "Remote-User", "X-Remote-User",
		"X-Auth-Request-User", "Client-IP", "CF-Connecting-IP", "X-Amzn-Oidc-Identity", "X_Forwarded_For", "X-Forwarded_User", "Idempotency_Key",
		"Ce_Id", "Onceish_Group", "x_tenant",
	}
}

func TestHTTPRefusesToPassWhatPublishersMayNotSay(t *testing.T) {
	t.Parallel()
	for _, name := range impassable() {
		if _, err := New("g", "http://localhost", &Options{PassHeaders: []string{"X-Tenant", name}}); err == nil {
			t.Errorf("%q may be passed", name)
		}
	}
}

// FuzzHTTPHeaders: whatever an event says can be sent or is refused, and its identity can
// be read back.
func FuzzHTTPHeaders(f *testing.F) {
	f.Add("a b%\"\r\nX: 1", "t", "k", "X-Custom", "v")
	f.Add("\xff", "", "€", "a\r\nb", "\x00")
	h, err := New("g\r\n", "http://host", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, kind, key, name, value string) {
		e := bus.Event{ID: id, Topic: "t", Type: kind, Key: key, Headers: bus.Headers{name: {value}}}
		a, _ := consumer.RequireAttempt(handlertest.Attempt(t, 1))
		sent, err := h.requestHeaders(&e, &a)
		if err != nil {
			return
		}
		for n, values := range sent {
			for _, v := range values {
				if !header.Valid(n) || strings.ContainsAny(v, "\r\n\x00") {
					t.Errorf("%q: %q", n, v)
				}
			}
		}
		for n, want := range map[string]string{"Ce-Id": id, "Ce-Type": cmp.Or(kind, "t"), "Ce-Partitionkey": key} {
			if got, err := url.PathUnescape(strings.Join(sent[n], "")); err != nil || got != want {
				t.Errorf("%s: %q is %q, %v", n, want, got, err)
			}
		}
	})
}
