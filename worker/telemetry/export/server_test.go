package export

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/worker"
)

func TestOnlyMetricsAreServed(t *testing.T) {
	r := newRig(t, inMemory(t), "127.0.0.1:0")
	r.worker.Handle("t", func(context.Context, bus.Event) error { return nil }, nil)
	end := r.run(t)
	url := r.exporter.server.url()
	for path, want := range map[string]int{"/metrics": http.StatusOK, "/metrics/x": http.StatusNotFound, "/": http.StatusNotFound, "/debug/pprof/": http.StatusNotFound} {
		if status, _ := get(t, strings.TrimSuffix(url, "/metrics")+path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(post(t, url))
	must(t, err)
	if must(t, resp.Body.Close()); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
	if !strings.Contains(r.log.String(), "msg=metrics url="+url) {
		t.Error("where they are is not logged:", r.log)
	}
	must(t, end())
	if _, err := net.Dial("tcp", r.exporter.server.listener.Addr().String()); err == nil {
		t.Error("it listens after the worker has ended")
	}
}

func post(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	must(t, err)
	return req
}

// Two hundred clients that never finish their request, and as many that read no answer, leave room
// for a scrape.
func TestSlowClientsKeepNoScrapeWaiting(t *testing.T) {
	r := newRig(t, inMemory(t), "127.0.0.1:0")
	r.worker.Handle("t", func(context.Context, bus.Event) error { return nil }, nil)
	r.run(t)
	for i := range 400 {
		c, err := net.Dial("tcp", r.exporter.server.listener.Addr().String())
		must(t, err)
		t.Cleanup(func() { c.Close() })
		request := "GET /metrics HTTP/1.1\r\nHost: h\r\n"
		if i%2 == 0 {
			request += "\r\n"
		}
		_, err = fmt.Fprint(c, request)
		must(t, err)
	}
	r.scrape(t)
}

func TestAddressesThatCannotBeListenedAtAreNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	for address, says := range map[string]string{"9464": "HOST:PORT", taken.Addr().String(): "address already in use"} {
		w, err := worker.New("billing", inMemory(t), nil)
		must(t, err)
		if _, err := AddMetrics(t.Context(), w, address, nil); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v; want %q", address, err, says)
		}
	}
}

// Scrapes that find all slots taken wait for their turn, until their client gives up.
func TestScrapesWaitForTheirTurn(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := newBufferedHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		fmt.Fprint(w, "ok")
	}))
	var scrapes sync.WaitGroup
	answers := make(chan int, maxScrapes+1)
	scrape := func(ctx context.Context) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", http.NoBody))
		answers <- w.Code
	}
	for range maxScrapes {
		scrapes.Go(func() { scrape(t.Context()) })
		<-entered
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if scrape(gone); <-answers != http.StatusServiceUnavailable {
		t.Error("a client that has given up has a slot")
	}
	scrapes.Go(func() { scrape(t.Context()) })
	close(release)
	<-entered
	scrapes.Wait()
	for range maxScrapes + 1 {
		if status := <-answers; status != http.StatusOK {
			t.Error("status", status)
		}
	}
}
