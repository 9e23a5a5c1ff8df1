package http

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/handlertest"
)

func TestHTTPRequest(t *testing.T) {
	t.Parallel()
	var got http.Header
	var method, path, body, host string
	var length int64
	endpoint := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		got, method, path, body, host, length = r.Header, r.Method, r.URL.String(), string(data), r.Host, r.ContentLength
	})
	h := newHTTP(t, withUser(t, endpoint, "käthe", "p@ss:w/rd", "/hooks?a=b"), &Options{Headers: http.Header{
		"x-api-key": {"k1", "k2"}, "Host": {"hooks.example"}, "Traceparent": {"configured"},
	}, PassHeaders: []string{"X-Custom"}})
	e := handlertest.Placed()
	e.ID, e.Key, e.Source, e.Type = "a b%\"\r\nX-Evil: 1 €", "k\x00", "/shop", "order placed"
	e.Time = time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	e.Headers = bus.Headers{
		"traceparent": {"00-1-2-01"}, "tracestate": {"a=b"}, "X-Custom": {"1", "2"}, "ce-tenant": {"t%201"},
		"Nats-Stream": {"s"}, "X-Api-Key": {"forged"},
	}
	if err := h.Handle(handlertest.Attempt(t, 3), e); err != nil {
		t.Fatal(err)
	}
	if method != "POST" || path != "/hooks?a=b" || body != string(e.Data) || host != "hooks.example" || length != int64(len(e.Data)) {
		t.Errorf("%s %s for %s with %d bytes %q", method, path, host, length, body)
	}
	want := http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {"a%20b%25%22%0D%0AX-Evil:%201%20%E2%82%AC"}, "Ce-Source": {"/shop"},
		"Ce-Type": {"order%20placed"}, "Ce-Partitionkey": {"k%00"}, "Ce-Time": {"2026-01-02T02:04:05.000000006Z"}, "Ce-Tenant": {"t%201"},
		"Content-Type": {"application/json"}, "Content-Length": {"11"}, "Idempotency-Key": {`"0123456789abcdef"`},
		"Onceish-Topic": {"order.placed"}, "Onceish-Group": {"billing"}, "Onceish-Attempt": {"3"},
		"Traceparent": {"configured"}, "Tracestate": {"a=b"}, "X-Custom": {"1", "2"}, "X-Api-Key": {"k1", "k2"},
		"User-Agent": {"onceish"}, "Authorization": {"Basic a8OkdGhlOnBAc3M6dy9yZA=="},
	}
	for name, values := range got {
		if strings.Join(values, "|") != strings.Join(want[name], "|") {
			t.Errorf("%s: %q, want %q", name, values, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("missing %v", want)
	}
}

func TestHTTPRequestWithoutDataAndAttributes(t *testing.T) {
	t.Parallel()
	var got http.Header
	endpoint := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	h := newHTTP(t, endpoint, &Options{Headers: http.Header{"Authorization": {"Bearer x"}, "User-Agent": {"me"}}})
	if err := h.Handle(handlertest.Attempt(t, 1), bus.Event{ID: "1", Topic: "t"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Ce-Source": "onceish", "Ce-Type": "t", "Content-Type": "application/octet-stream", "Content-Length": "0",
		"Authorization": "Bearer x", "User-Agent": "me", "Ce-Time": "", "Ce-Partitionkey": "",
	} {
		if got.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Get(name), want)
		}
	}
}

func TestHTTPVerdicts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		retryAfter string
		statuses   map[int]Meaning
		want       map[Meaning][]int
	}{
		"as they are": {want: map[Meaning][]int{
			Done:        {200, 201, 202, 204, 206, 299},
			Permanent:   {400, 402, 406, 413, 415, 422, 431, 451, 499},
			Refused:     {401, 403, 404, 405},
			Throttled:   {429},
			Unavailable: {300, 301, 302, 303, 304, 307, 308, 399, 407, 408, 410, 502, 503, 504, 520, 521, 530, 600, 999},
			Retry:       {409, 425, 500, 501, 505, 519, 531, 599},
		}},
		"with Retry-After": {retryAfter: "1", want: map[Meaning][]int{
			Permanent: {400, 422}, Refused: {401, 404}, Throttled: {429, 503}, Unavailable: {502, 504}, Retry: {409, 500},
		}},
		"configured": {
			retryAfter: "1", statuses: map[int]Meaning{404: Permanent, 409: Done, 422: Retry, 500: Unavailable, 410: Refused, 502: Throttled, 451: Gone},
			want: map[Meaning][]int{Permanent: {404, 400}, Done: {409, 200}, Retry: {422}, Unavailable: {500, 451}, Refused: {410, 403}, Throttled: {502, 429}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var status atomic.Int64
			endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.retryAfter != "" {
					w.Header().Set("Retry-After", c.retryAfter)
				}
				w.WriteHeader(int(status.Load()))
			})
			h := newHTTP(t, endpoint, &Options{Statuses: c.statuses})
			for want, all := range c.want {
				for _, code := range all {
					status.Store(int64(code))
					err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed())
					if got := Meaning(handlertest.MeaningOf(err)); got != want {
						t.Errorf("%d: %s, want %s: %v", code, got, want, err)
					}
				}
			}
		})
	}
}

func TestHTTPRefusesStatusesThatMeanNothing(t *testing.T) {
	t.Parallel()
	for want, statuses := range map[string]map[int]Meaning{
		"has 100: it must be from 200":        {100: Done},
		`has "never" for 404: it must be one`: {404: "never"},
	} {
		if _, err := New("g", "http://h", &Options{Statuses: statuses}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", statuses, err, want)
		}
	}
}

func TestHTTPReasonIsWhatTheServiceSaid(t *testing.T) {
	t.Parallel()
	said := "no\x00such\x1b[31m customer\r\n\u202e\xff" + strings.Repeat("€", 2_000)
	endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, said)
	})
	err := newHTTP(t, endpoint, nil).Handle(handlertest.Attempt(t, 1), handlertest.Placed())
	start := "POST " + endpoint + ": 422 Unprocessable Entity: "
	if err == nil || !strings.HasPrefix(err.Error(), start+"no such [31m customer \uFFFD€€") {
		t.Fatalf("%v", err)
	}
	if body := strings.TrimPrefix(err.Error(), start); len(body) > maxShownBytes || len(body) < maxShownBytes-3 || !strings.HasSuffix(body, "€") {
		t.Errorf("%d bytes are shown, the end is %q", len(body), body[len(body)-3:])
	}
}

func TestHTTPDoesNotFollowRedirects(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int64
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	var location string
	endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.WriteHeader(http.StatusMovedPermanently)
	})
	for l, want := range map[string]string{
		withUser(t, other, "u", "hunter2", "/new?token=hunter3#hunter4"): other + "/new",
		"/over/there":        endpoint + "/over/there",
		"/services/hunter5/": endpoint + "***/",
		"/?password=hunter2": endpoint + "/",
		"http://[":           "redirects are not followed",
		"::":                 "redirects are not followed",
		"mailto:a@b":         "redirects are not followed",
		"":                   "redirects are not followed",
	} {
		location = l
		h := newHTTP(t, withUser(t, endpoint, "u", "hunter2", "/services/hunter5"), nil)
		err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed())
		if err == nil || consumer.IsPermanent(err) || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q: %v", l, err)
		}
	}
	if n := elsewhere.Load(); n > 0 {
		t.Errorf("%d requests followed", n)
	}
}

func TestHTTPNeedsAnAttempt(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	h := newHTTP(t, serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) }), nil)
	if err := h.Handle(t.Context(), handlertest.Placed()); !errors.Is(err, consumer.ErrNoAttempt) || asked.Load() > 0 {
		t.Errorf("%v, %d requests", err, asked.Load())
	}
}

func TestHTTPCannotSay(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	h := newHTTP(t, serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) }), nil)
	for want, change := range map[string]func(*bus.Event){
		"ce-id is not UTF-8":                       func(e *bus.Event) { e.ID = "\xff" },
		"ce-partitionkey is not UTF-8":             func(e *bus.Event) { e.Key = "a\xc0" },
		"Content-Type has a control character":     func(e *bus.Event) { e.ContentType = "text/plain\r\nX-Evil: 1" },
		"ce-source is not UTF-8, and cannot be se": func(e *bus.Event) { e.Source = "\x80" },
	} {
		e := handlertest.Placed()
		change(&e)
		if err := h.Handle(handlertest.Attempt(t, 1), e); !consumer.IsPermanent(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	ctx := consumer.WithAttempt(t.Context(), consumer.Attempt{IdempotencyKey: "a\n"})
	if err := h.Handle(ctx, handlertest.Placed()); !consumer.IsPermanent(err) {
		t.Errorf("idempotency key with a line break: %v", err)
	}
	if asked.Load() > 0 {
		t.Errorf("%d requests", asked.Load())
	}
}

// TestHTTPKeepsConnections: as many as handlers run at once, whenever they end.
func TestHTTPKeepsConnections(t *testing.T) {
	t.Parallel()
	const concurrency = 16
	var connections atomic.Int64
	var here, all sync.WaitGroup
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		here.Done()
		here.Wait()                                           // for the others, on connections of their own
		_, _ = io.WriteString(w, strings.Repeat("x", 10_000)) // must be read for the connection to be kept
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	h := newHTTP(t, s.URL, &Options{Concurrency: concurrency})
	for range 10 {
		here.Add(concurrency)
		for range concurrency {
			all.Go(func() {
				if err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if n := connections.Load(); n > 2*concurrency {
		t.Errorf("%d connections for %d handlers", n, concurrency)
	}
}

func TestHTTPOverTLS(t *testing.T) {
	t.Parallel()
	var protocol string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { protocol = r.Proto }))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	if err := newHTTP(t, s.URL, nil).Handle(handlertest.Attempt(t, 1), handlertest.Placed()); err == nil || consumer.IsPermanent(err) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	trusting := newHTTP(t, s.URL, &Options{TLS: s.Client().Transport.(*http.Transport).TLSClientConfig})
	if err := trusting.Handle(handlertest.Attempt(t, 1), handlertest.Placed()); err != nil || protocol != "HTTP/2.0" {
		t.Errorf("%q, %v", protocol, err)
	}
}

func TestHTTPEndsWithItsContext(t *testing.T) {
	t.Parallel()
	endpoint, _ := raw(t, tellAndHang(""))
	h := newHTTP(t, endpoint, nil)
	for _, cause := range []error{consumer.ErrLeaseLost, consumer.ErrRunLimit, consumer.ErrDrainTimeout} {
		ctx, cancel := context.WithCancelCause(handlertest.Attempt(t, 1))
		time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
		if err := h.Handle(ctx, handlertest.Placed()); !errors.Is(err, cause) || consumer.IsPermanent(err) {
			t.Errorf("%v, want %v", err, cause)
		}
		if err := h.Handle(ctx, handlertest.Placed()); !errors.Is(err, cause) {
			t.Errorf("begun afterwards: %v, want %v", err, cause)
		}
	}
}
