package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	membus "github.com/onceish/onceish/bus/memory"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
)

const token = "correct-horse-battery-staple"

// inMemory serves an API over a bus and a store in memory.
func inMemory(tb testing.TB, o Options) *rig {
	tb.Helper()
	store, err := memdedupe.New(nil)
	must(tb, err)
	return serve(tb, worker.Over(memoryBus(tb), store), o)
}

func memoryBus(tb testing.TB) *membus.Bus {
	tb.Helper()
	b, err := membus.New(nil)
	must(tb, err)
	return b
}

// Every request needs the token, but for those of probes; a wrong one is refused whatever it is.
func TestTokenIsNeeded(t *testing.T) {
	t.Parallel()
	r := inMemory(t, Options{Token: token})
	for _, header := range []string{"", token, "Basic " + token, "Bearer", "Bearer ", "Bearer " + token + "x", "Bearer " + token[1:], "Bearer " + strings.Repeat("x", 8000), "Bearer \xff"} {
		for _, path := range []string{"/v1/groups/g", "/openapi.json", "/v1/export?topic=t", "/readyz?verbose", "/v1/nothing"} {
			a := r.get(t, path, "Authorization", header)
			refuses(t, a, http.StatusUnauthorized, "Authorization: Bearer TOKEN")
			if a.header.Get("WWW-Authenticate") != "Bearer" || strings.Contains(a.body, token) {
				t.Errorf("%q: %v, %s", header, a.header, a.body)
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if a := r.get(t, path, "Host", "10.0.0.1"); a.status != http.StatusOK || a.body != "ok\n" {
			t.Errorf("%s: %d %q", path, a.status, a.body)
		}
	}
	for _, header := range []string{"Bearer " + token, "bearer " + token, "BEARER  " + token} {
		if a := r.get(t, "/readyz?verbose", "Authorization", header); a.status != http.StatusOK || !strings.Contains(a.body, "[+]store ok") {
			t.Errorf("%s: %d %q", header, a.status, a.body)
		}
	}
	if strings.Contains(r.log.String(), token) {
		t.Errorf("the log has the token: %s", r.log)
	}
}

// A page of another site that has its own name point to this machine is refused.
func TestForeignHostsAreRefused(t *testing.T) {
	t.Parallel()
	r := inMemory(t, Options{})
	for _, host := range []string{"evil.example", "127.0.0.1.evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.2", "", "[::2]:80", "127.0.0.1@evil.example"} {
		a := r.get(t, "/openapi.json", "Host", host)
		if host == "" { // the client sends that of its URL
			continue
		}
		refuses(t, a, http.StatusMisdirectedRequest, "name")
	}
	for _, host := range []string{"localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]", "[::1]:80"} {
		if a := r.get(t, "/openapi.json", "Host", host); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", host, a.status, a.body)
		}
	}
	named := inMemory(t, Options{Hosts: []string{"billing.example"}})
	if a := named.get(t, "/openapi.json", "Host", "billing.example"); a.status != http.StatusOK {
		t.Errorf("its own name: %d %s", a.status, a.body)
	}
	refuses(t, named.get(t, "/openapi.json"), http.StatusMisdirectedRequest, "127.0.0.1")
}

// Answers are neither kept nor run by browsers, and other sites may not read them.
func TestAnswersAreForNobodyElse(t *testing.T) {
	t.Parallel()
	r := inMemory(t, Options{})
	for _, path := range []string{"/livez", "/v1/groups/g", "/openapi.json"} {
		h := r.get(t, path, "Origin", "https://evil.example").header
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", path, h)
		}
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: it has %s", path, name)
			}
		}
	}
	refuses(t, r.send(t, http.MethodOptions, "/v1/groups", ""), http.StatusMethodNotAllowed, "GET")
}

// A body of 100 MB is refused before it was read.
func TestLargeBodiesAreRefused(t *testing.T) {
	t.Parallel()
	r := inMemory(t, Options{})
	read := &countingReader{left: 100 << 20}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/groups/g/pause", read)
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	if n := read.count(); n > 16<<20 {
		t.Errorf("%d bytes were taken", n)
	}
}

// countingReader has so many bytes.
type countingReader struct {
	mu         sync.Mutex
	left, read int
}

func (c *countingReader) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), c.left)
	c.left, c.read = c.left-n, c.read+n
	return n, nil
}

func (c *countingReader) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read
}

// Headers of 1 MB are refused.
func TestLargeHeadersAreRefused(t *testing.T) {
	t.Parallel()
	s := listen(t, inMemory(t, Options{}).api, nil)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.listener.Addr().String())
	must(t, err)
	defer conn.Close()
	go fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 1<<20))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// listen serves an API until the test ends.
func listen(tb testing.TB, a *API, o *ListenOptions) *Server {
	tb.Helper()
	if o == nil {
		o = &ListenOptions{Address: "127.0.0.1:0"}
	}
	s, err := a.Listen(tb.Context(), o)
	must(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	tb.Cleanup(func() {
		cancel()
		must(tb, <-ended)
	})
	return s
}

// 200 clients that send a byte now and then, of their headers or of their bodies, and do not read
// what they are sent, keep nobody waiting.
func TestSlowClientsKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	r := inMemory(t, Options{})
	s := listen(t, r.api, nil)
	for i := range 200 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.listener.Addr().String())
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		text := []string{
			"GET /v1/groups HTTP/1.1\r\nHost: local",
			"POST /v1/groups/g/pause HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
			strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", 50),
		}[i%3]
		_, err = io.WriteString(conn, text)
		must(t, err)
	}
	fast := &rig{url: s.URL()}
	for range 50 {
		if a := fast.get(t, "/readyz?verbose"); a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
}

// What is worked on at once is bounded: who comes later waits a while, and is then asked to come
// back. Probes that look at nothing are answered.
func TestConcurrentRequestsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		a := &API{slots: make(chan struct{}, 1)}
		g := &guard{api: a}
		var wait sync.WaitGroup
		busy := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-release
		})
		wait.Go(func() { g.work(&bufferedAnswer{header: http.Header{}}, newRequest(t), busy) })
		<-entered
		if g.work(&bufferedAnswer{header: http.Header{}}, newRequest(t), busy) {
			t.Error("a second one was worked on")
		}
		close(release)
		wait.Wait()
		done := false
		if !g.work(&bufferedAnswer{header: http.Header{}}, newRequest(t), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { done = true })) || !done {
			t.Error("the slot was not given back")
		}
	})
}

func newRequest(tb testing.TB) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "http://localhost/", http.NoBody)
	must(tb, err)
	return req
}

// An address that others reach is listened at only with a token or client certificates, and under
// names that are known.
func TestOnlyThisMachineIsServedWithoutAToken(t *testing.T) {
	t.Parallel()
	open, guarded := inMemory(t, Options{}).api, inMemory(t, Options{Token: token}).api
	named := inMemory(t, Options{Token: token, Hosts: []string{"billing.example"}}).api
	for address, says := range map[string]string{
		":0": "set a token", "0.0.0.0:0": "set a token", "[::]:0": "set a token", "192.0.2.1:0": "set a token", "8080": "HOST:PORT", "127.0.0.1": "HOST:PORT",
	} {
		if _, err := open.Listen(t.Context(), &ListenOptions{Address: address}); !errors.Is(err, worker.ErrUsage) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want wrong usage, and %q", address, err, says)
		}
	}
	if _, err := guarded.Listen(t.Context(), &ListenOptions{Address: "0.0.0.0:0"}); !errors.Is(err, worker.ErrUsage) || !strings.Contains(err.Error(), "--admin-hosts") {
		t.Errorf("without a name: %v", err)
	}
	if _, err := guarded.Listen(t.Context(), &ListenOptions{Address: "127.0.0.1:0", ClientCA: "ca.pem"}); !errors.Is(err, worker.ErrUsage) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("client certificates without TLS: %v", err)
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0"} {
		s := listen(t, open, &ListenOptions{Address: address})
		if a := (&rig{url: s.URL()}).get(t, "/openapi.json"); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", address, a.status, a.body)
		}
	}
	s := listen(t, named, &ListenOptions{Address: "0.0.0.0:0", Prefix: "/admin"})
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	must(t, err)
	r := &rig{url: "http://127.0.0.1:" + port}
	refuses(t, r.get(t, "/admin/openapi.json", "Host", "billing.example"), http.StatusUnauthorized, "token")
	refuses(t, r.get(t, "/admin/openapi.json", "Authorization", "Bearer "+token), http.StatusMisdirectedRequest, "127.0.0.1")
	if a := r.get(t, "/admin/openapi.json", "Host", "billing.example", "Authorization", "Bearer "+token); a.status != http.StatusOK || !strings.Contains(a.body, `"url":"/admin"`) {
		t.Errorf("with both: %d %.200s", a.status, a.body)
	}
}

// An address that others reach without TLS is warned of, and refused where that is asked for.
func TestPlaintextForOtherMachinesIsRefusedByStrict(t *testing.T) {
	t.Parallel()
	own, _ := newCertificate(t, "server", nil)
	certificate, key := writePEM(t, own)
	for _, c := range []struct {
		o       ListenOptions
		refused bool
	}{
		{ListenOptions{Address: "0.0.0.0:0"}, true},
		{ListenOptions{Address: "127.0.0.1:0"}, false},
		{ListenOptions{Address: "0.0.0.0:0", Certificate: certificate, Key: key}, false},
	} {
		r := inMemory(t, Options{Token: token, Hosts: []string{"billing.example"}})
		listen(t, r.api, &c.o)
		if warned := strings.Contains(r.log.String(), "the connection is not encrypted"); warned != c.refused {
			t.Errorf("%+v: %s", c.o, r.log)
		}
		c.o.Strict = true
		s, err := r.api.Listen(t.Context(), &c.o)
		if err == nil {
			must(t, s.Close())
		}
		if errors.Is(err, worker.ErrUsage) != c.refused || (err != nil) != c.refused || c.refused && !strings.Contains(err.Error(), "--admin-cert") {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}

// Options that make no sense are refused, and the errors have nothing of a token.
func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	conns := inMemory(t, Options{}).conns
	for _, o := range []Options{{Token: "short-secret"}, {Token: "secret with a space in it"}, {Token: "secret-and-a-line-break\n"}, {Hosts: []string{"https://x"}}, {Hosts: []string{""}}} {
		if _, err := New(conns, &o); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := New(nil, nil); err == nil {
		t.Error("nil connections are taken")
	}
}

// No answer and no log has a secret: neither the token, nor what is in the URLs of servers.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	const canary = "canary-hunter2-canary"
	srv := natstest.Start(t, func(o *natsOptions) { o.Username, o.Password = "worker", canary })
	r := serve(t, connect(t, worker.ConnectOptions{NATS: strings.Replace(srv.URL(), "://", "://worker:"+canary+"@", 1), Store: "mongodb://worker:" + canary + "@127.0.0.1:1/db?serverSelectionTimeoutMS=100"}), Options{Token: canary, Group: "billing"})
	auth := []string{"Authorization", "Bearer " + canary}
	answers := []string{}
	for path := range r.api.huma.OpenAPI().Paths {
		path = strings.NewReplacer("{group}", "billing", "{id}", "17").Replace(path)
		for _, query := range []string{"", "?topic=order.placed&id=1", "?topic=" + canary + "&verbose", "?payload=1"} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete} {
				body := `{"reason":"test","by":"ada"}`
				if method == http.MethodGet {
					body = ""
				}
				if strings.Contains(query, canary) { // its own words are not echoed as values
					query = "?topic=order.placed&colour=red"
				}
				if path == livePath && method == http.MethodGet && query == "" { // it has no end
					data, _ := follow(t, r.url, canary).next()
					answers = append(answers, data)
					continue
				}
				answers = append(answers, r.send(t, method, path+query, body, auth...).body)
			}
		}
	}
	answers = append(answers, r.get(t, "/readyz?verbose", auth...).body, r.get(t, "/openapi.json", auth...).body, r.log.String())
	for _, text := range answers {
		if strings.Contains(text, canary) {
			t.Errorf("shown: %s", text)
		}
	}
	if text := strings.Join(answers, "\n"); !strings.Contains(text, "mongodb") {
		t.Errorf("nothing failed that has a secret in its URL: %s", text)
	}
}

// The metrics are for whoever may use the API, as all that it shows; a process that has none has no
// such path.
func TestMetricsAreServedToWhoMayUseTheAPI(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "onceish_in_flight 7") })
	c := connect(t, worker.ConnectOptions{})
	with := serve(t, c, Options{Token: token, Metrics: metrics})
	refuses(t, with.get(t, "/metrics"), http.StatusUnauthorized, "token")
	auth := []string{"Authorization", "Bearer " + token}
	refuses(t, with.get(t, "/metrics", append(auth, "Host", "evil.example")...), http.StatusMisdirectedRequest, "evil.example")
	if a := with.get(t, "/metrics", auth...); a.status != http.StatusOK || a.body != "onceish_in_flight 7\n" {
		t.Errorf("%d %s", a.status, a.body)
	}
	without := serve(t, c, Options{Token: token})
	refuses(t, without.get(t, "/metrics", auth...), http.StatusNotFound, "/metrics")
}
