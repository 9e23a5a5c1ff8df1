package dashboard_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
)

// gate stands before an API: it counts streams, and cuts them off.
type gate struct {
	mu      sync.Mutex
	streams map[*http.Request]context.CancelFunc
	changed chan struct{} // closed when streams has changed
	lost    bool          // streams are refused
	down    bool          // everything is
}

func newGate() *gate {
	return &gate{streams: map[*http.Request]context.CancelFunc{}, changed: make(chan struct{})}
}

func (g *gate) around(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isStream := strings.HasSuffix(r.URL.Path, "/overview/stream")
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		g.mu.Lock()
		refused := g.down || g.lost && isStream
		if isStream && !refused {
			g.streams[r] = cancel
			g.tell()
		}
		g.mu.Unlock()
		if refused {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		api.ServeHTTP(w, r.WithContext(ctx))
		g.mu.Lock()
		delete(g.streams, r)
		g.tell()
		g.mu.Unlock()
	})
}

// set says what is refused from now on, and cuts off the streams that are.
func (g *gate) set(lost, down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lost, g.down = lost, down
	for _, cancel := range g.streams {
		if lost || down {
			cancel()
		}
	}
}

// tell is called with the lock held when the streams have changed.
func (g *gate) tell() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// awaitStreams waits until so many streams are open.
func (g *gate) awaitStreams(tb testing.TB, want int) {
	tb.Helper()
	for end := time.After(within); ; {
		g.mu.Lock()
		n, changed := len(g.streams), g.changed
		g.mu.Unlock()
		if n == want {
			return
		}
		select {
		case <-changed:
		case <-end:
			tb.Fatalf("%d streams are open; want %d", n, want)
		}
	}
}

// A page that has lost its stream asks now and then, says when nobody answers, and goes back to the
// stream.
func TestLostStreamIsReplacedByPolling(t *testing.T) {
	g := newGate()
	r := newRig(t, rigOptions{around: g.around})
	_, err := r.conns.Bus().Subscribe(t.Context(), "order.placed", "billing", nil)
	must(t, err)
	p := openTab(t, r.url)
	p.allowed = []string{"status of 502", "ERR_INCOMPLETE_CHUNKED_ENCODING"}
	p.sees("Live")
	g.set(true, false)
	p.sees("Polling")
	r.publish(t, "order.placed", "1", "2", "3")
	p.await(`document.querySelector('td[data-label="Waiting"]').textContent === "3"`)
	g.set(true, true)
	p.sees("Offline since")
	p.sees("billing") // what was known stays
	g.set(false, false)
	p.sees("Live")
}

// The tabs of a browser share one stream; when the tab that has it is closed, another one takes it.
func TestTabsShareOneStream(t *testing.T) {
	g := newGate()
	r := newRig(t, rigOptions{around: g.around})
	r.startWorker(t, "order.placed")
	first := openTab(t, r.url)
	first.allowed = []string{"favicon.ico"}
	first.sees("billing", "Live")
	second, third := openTab(t, r.url), openTab(t, r.url)
	second.sees("billing", "Live")
	third.sees("billing", "Live")
	g.awaitStreams(t, 1) // and not one for each tab
	call(first, page.Navigate, page.NavigateParams{URL: r.url + "assets/uplot-license.txt"})
	r.publishLetters(t, 1, 7, plainLetter)
	for _, p := range []*tab{second, third} {
		p.await(`document.querySelector('td[data-label="Dead letters"]').textContent === "7"`)
		p.sees("Live")
	}
	g.awaitStreams(t, 1)
}
