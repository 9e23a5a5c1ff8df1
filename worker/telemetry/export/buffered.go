package export

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// How many answers are made at once, and how long others wait for their turn.
const (
	maxScrapes = 4
	awaitTurn  = 5 * time.Second
)

// bufferedHandler makes a few answers at once, and sends each when it is complete: a client that is
// slow to read takes nobody's turn.
type bufferedHandler struct {
	inner   http.Handler
	slots   chan struct{} // one for each answer that is made
	buffers sync.Pool     // of *bytes.Buffer: an answer is large, and as large as the one before
}

func newBufferedHandler(inner http.Handler) *bufferedHandler {
	return &bufferedHandler{inner: inner, slots: make(chan struct{}, maxScrapes)}
}

// ServeHTTP implements http.Handler.
func (h *bufferedHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := h.buffers.Get().(*bytes.Buffer)
	if !ok {
		body = &bytes.Buffer{}
	}
	body.Reset()
	defer h.buffers.Put(body)
	answer := &bufferedAnswer{header: w.Header(), status: http.StatusOK, body: body}
	if !h.makeAnswer(answer, r) {
		http.Error(w, "too many scrapes at once: try again", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(answer.status)
	_, _ = w.Write(body.Bytes()) // nobody else to tell
}

// makeAnswer waits for a slot. It reports whether there was one.
func (h *bufferedHandler) makeAnswer(w http.ResponseWriter, r *http.Request) bool {
	wait := time.NewTimer(awaitTurn)
	defer wait.Stop()
	select {
	case h.slots <- struct{}{}:
	case <-wait.C:
		return false
	case <-r.Context().Done():
		return false
	}
	defer func() { <-h.slots }()
	h.inner.ServeHTTP(w, r)
	return true
}

// bufferedAnswer is an http.ResponseWriter that keeps what is written.
type bufferedAnswer struct {
	header http.Header
	status int
	body   *bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *bufferedAnswer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *bufferedAnswer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *bufferedAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }
