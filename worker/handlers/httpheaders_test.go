package handlers

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
)

// TestHTTPPassesNothingThatFramesOrAuthorizes: what publishers say stays data.
func TestHTTPPassesNothingThatFramesOrAuthorizes(t *testing.T) {
	t.Parallel()
	out := make(http.Header)
	for _, name := range []string{
		"connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Proxy-Authorization", "Proxy-Connection",
		"Content-Length", "Content-Type", "Expect", "Host", "Authorization", "cookie", "Set-Cookie", "Origin", "Forwarded", "x-forwarded-for",
		"X-Forwarded-Host", "X-Real-IP", "X-HTTP-Method-Override", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "Sec-Fetch-Site",
		"Nats-Msg-Id", "CE-ID", "ce-source", "ce-datacontenttype", "idempotency-key", "x-idempotency-key", "onceish-attempt", "Onceish-Group",
		"Onceish-Topic", "User-Agent", "", " a", "a b", "a\r\nb", "a:b", "ä", "a\x00",
	} {
		pass(out, name, []string{"x"})
	}
	if len(out) > 0 {
		t.Errorf("passed %v", out)
	}
	for _, name := range []string{"traceparent", "tracestate", "baggage", "X-Custom", "ce-tenant", "Content-Encoding", "Onceish-Dead-Reason", "Onceish-Letter"} {
		pass(out, name, []string{"x", "a\r\nX-Evil: 1", "\x00", "y\tz"})
		if got := strings.Join(out.Values(name), "|"); got != "x|y\tz" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// FuzzHTTPHeaders: whatever an event says can be sent or is refused, and its identity can be read back.
func FuzzHTTPHeaders(f *testing.F) {
	f.Add("a b%\"\r\nX: 1", "t", "k", "X-Custom", "v")
	f.Add("\xff", "", "€", "a\r\nb", "\x00")
	h, err := NewHTTP("g\r\n", "http://host", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, kind, key, name, value string) {
		e := bus.Event{ID: id, Topic: "t", Type: kind, Key: key, Headers: bus.Headers{name: {value}}}
		a, _ := attemptOf(attempting(t, 1))
		header, err := h.headers(&e, &a)
		if err != nil {
			return
		}
		for n, values := range header {
			for _, v := range values {
				if !token(n) || strings.ContainsAny(v, "\r\n\x00") {
					t.Errorf("%q: %q", n, v)
				}
			}
		}
		for n, want := range map[string]string{"Ce-Id": id, "Ce-Type": or(kind, "t"), "Ce-Partitionkey": key} {
			if got, err := url.PathUnescape(strings.Join(header[n], "")); err != nil || got != want {
				t.Errorf("%s: %q is %q, %v", n, want, got, err)
			}
		}
	})
}
