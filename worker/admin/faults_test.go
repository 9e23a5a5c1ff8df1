package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
)

// brokenReader is a bus that cannot be read any further after some events.
type brokenReader struct {
	*membus.Bus

	after int
}

func (b *brokenReader) Read(ctx context.Context, pattern string, r bus.Range) iter.Seq2[bus.Stored, error] {
	return func(yield func(bus.Stored, error) bool) {
		n := 0
		for stored, err := range b.Bus.Read(ctx, pattern, r) {
			if n++; n > b.after {
				yield(bus.Stored{}, errors.New("the disk is gone"))
				return
			}
			if !yield(stored, err) {
				return
			}
		}
	}
}

// An export that fails in the middle ends the connection, so that nobody takes a part for the
// whole; each line that has arrived is complete. One that fails at once is a problem.
func TestExportThatIsCutOffHasNoEnd(t *testing.T) {
	t.Parallel()
	store, err := memdedupe.New(nil)
	must(t, err)
	broken := &brokenReader{memoryBus(t), 1500}
	for i := range 2000 {
		_, err := broken.Publish(t.Context(), bus.Event{ID: fmt.Sprint(i), Topic: "order.placed", Data: bytes.Repeat([]byte("x"), 100)})
		must(t, err)
	}
	r := serve(t, worker.Over(broken, store), Options{})
	for _, query := range []string{"", "&ndjson=0"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/v1/export?topic=order.placed"+query, http.NoBody)
		must(t, err)
		resp, err := http.DefaultTransport.RoundTrip(req)
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) || resp.Trailer.Get(trailerEvents) != "" || len(text) == 0 {
			t.Errorf("%q: %d, %v, trailers %v, %d bytes", query, resp.StatusCode, err, resp.Trailer, len(text))
		}
		if query != "" {
			if json.Valid(text) {
				t.Errorf("the array has an end: %s", text[len(text)-100:])
			}
			continue
		}
		lines := bytes.SplitAfter(text, []byte("\n"))
		if last := lines[len(lines)-1]; len(last) > 0 || len(lines) < 100 {
			t.Errorf("%d lines, the last is cut off: %s", len(lines), last)
		}
		for _, line := range lines[:len(lines)-1] {
			if !json.Valid(line) {
				t.Errorf("a line is no JSON: %s", line)
			}
		}
	}
	broken.after = 0
	refuses(t, r.get(t, "/v1/export?topic=order.placed"), http.StatusInternalServerError, "the disk is gone")
}

// Names that are made to do harm are refused or not found, and are text in answers and in the log.
func TestHostileNamesAreText(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startWorker(t, nil)
	r.publish(t, "order.placed", "bad1")
	r.awaitLetters(t, 1)
	names := []string{
		"../../etc/passwd", "a/b", "%00", "\x00", "a\nlevel=ERROR msg=forged", "\r\nSet-Cookie: a=b", "<script>alert(1)</script>", `"}{"a":"`, "$where", "{\"$gt\":\"\"}", "*", ">", "a.>",
		"\u202eexe", "\xff\xfe", strings.Repeat("é", 2000), "' OR 1=1 --", "${jndi:ldap://x}", " ", "😀",
	}
	var asking sync.WaitGroup
	limit := make(chan struct{}, maxStreams) // who comes later is refused an export
	for _, name := range names {
		asking.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			r.askWith(t, name)
		})
	}
	asking.Wait()
	for line := range strings.Lines(r.log.String()) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("the log has a line that nobody wrote: %s", line)
		}
	}
}

// askWith sends requests with a name in every place that takes one.
func (r *rig) askWith(t *testing.T, name string) {
	t.Helper()
	in, query := url.PathEscape(name), url.QueryEscape(name)
	for _, path := range []string{
		"/v1/groups/" + in, "/v1/groups/" + in + "/lag", "/v1/groups/" + in + "/dead-letters", "/v1/groups/billing/dead-letters/" + in, "/v1/outbox/rows/" + in, "/v1/operations/" + in,
		"/v1/replay?topic=" + query, "/v1/export?topic=" + query, "/v1/groups/billing/story?topic=order.placed&id=" + query,
		"/v1/groups/billing/dead-letters?error=" + query, "/v1/outbox?collection=" + query, "/" + in,
	} {
		a := r.get(t, path)
		kind := a.header.Get("Content-Type")
		if a.status >= http.StatusInternalServerError || kind != "application/json" && kind != "application/problem+json" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%q: %d %s %.300s", path, a.status, kind, a.body)
		}
		if a.header.Get("Set-Cookie") != "" || !json.Valid([]byte(a.body)) {
			t.Errorf("%q: %v %.300s", path, a.header, a.body)
		}
	}
	body, err := json.Marshal(map[string]string{"reason": "r", "by": name, "topic": name})
	must(t, err)
	if a := r.post(t, "/v1/groups/billing/pause", string(body)); a.status < 400 || a.status >= 500 {
		t.Errorf("pause %q: %d %s", name, a.status, a.body)
	}
}

// While its servers are down every request has an answer within its time: a problem. Probes say
// that the process lives, and what is missing.
func TestAPIAnswersWhileItsServersAreDown(t *testing.T) {
	t.Parallel()
	at, err := url.Parse(mongotest.URI(t))
	must(t, err)
	servers := []*proxy.Proxy{startProxy(t, natstest.Start(t, nil).Addr()), startProxy(t, at.Host)}
	c, err := worker.Connect(t.Context(), &worker.ConnectOptions{
		NATS: "nats://" + servers[0].Addr(), Provision: true, Logger: slog.New(slog.DiscardHandler),
		Store: fmt.Sprintf("mongodb://%s/%s?directConnection=true", servers[1].Addr(), mongotest.Database(t).Name()),
	})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	r := serve(t, c, Options{Group: "billing"})
	r.startWorkerThatMayFail(t)
	if a := r.get(t, "/readyz?verbose"); a.status != http.StatusOK {
		t.Fatalf("before: %d %s", a.status, a.body)
	}
	for _, s := range servers {
		s.Refuse(true)
		s.Cut()
	}
	r.api.readiness.Store(nil) // as after a second
	ready := r.get(t, "/readyz?verbose")
	for _, line := range []string{"[-]nats failed: ", "[-]store failed: ", "[-]streams failed: ", "[-]outbox failed: ", "not ready\n"} {
		if ready.status != http.StatusServiceUnavailable || !strings.Contains(ready.body, line) {
			t.Errorf("%d, without %q: %s", ready.status, line, ready.body)
		}
	}
	r.askForEverything(t, func(path string, a answer) {
		if a.status != http.StatusServiceUnavailable && a.status != http.StatusGatewayTimeout || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	})
	if o := decode[Overview](t, r.get(t, "/v1/overview")); len(o.Missing) == 0 || !strings.HasPrefix(o.Missing[0], "the groups: ") {
		t.Errorf("the overview misses %q", o.Missing)
	}
	if a := r.get(t, "/livez"); a.status != http.StatusOK {
		t.Errorf("alive: %d %s", a.status, a.body)
	}
	for _, s := range servers {
		s.Refuse(false)
	}
	for a := r.get(t, "/readyz?verbose"); a.status != http.StatusOK; a = r.get(t, "/readyz?verbose") {
		if t.Context().Err() != nil {
			t.Fatalf("afterwards: %d %s", a.status, a.body)
		}
	}
}

// askForEverything sends all requests that read from a server, at once.
func (r *rig) askForEverything(t *testing.T, check func(path string, a answer)) {
	t.Helper()
	var asking sync.WaitGroup
	eachOperation(r.api.huma.OpenAPI(), func(method, path string, _ *huma.Operation) {
		if method != http.MethodGet || strings.HasPrefix(path, "/v1/operations") || strings.HasPrefix(path, "/v1/overview") {
			return // operations need no server, and an overview says what could not be read
		}
		path = strings.NewReplacer("{group}", "billing", "{id}", "1").Replace(path)
		if strings.HasSuffix(path, "/replay") || strings.HasSuffix(path, "/export") || strings.HasSuffix(path, "/story") {
			path += "?topic=order.placed"
		}
		if strings.Contains(path, "/story") {
			path += "&id=1"
		}
		asking.Go(func() { check(path, r.get(t, path)) })
	})
	asking.Wait()
}

// startWorkerThatMayFail runs the group "billing" on "order.placed" until the test ends, whatever
// it ends with.
func (r *rig) startWorkerThatMayFail(t *testing.T) {
	t.Helper()
	started := make(chan struct{})
	w, err := worker.New("billing", r.conns, &worker.Options{Logger: slog.New(slog.DiscardHandler), Started: func() { close(started) }, Drain: time.Second})
	must(t, err)
	w.Handle("order.placed", func(context.Context, bus.Event) error { return nil }, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.Run(ctx) // its servers were away
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	<-started
}

func startProxy(t *testing.T, to string) *proxy.Proxy {
	t.Helper()
	if _, _, err := net.SplitHostPort(to); err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(to)
	must(t, err)
	t.Cleanup(p.Close)
	return p
}
