package otlptest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Receiver keeps the spans that it is sent, and what is said of metrics. It is safe for concurrent
// use.
type Receiver struct {
	// URL is its endpoint, without a path.
	URL string

	mu       sync.Mutex
	spans    []*tracepb.Span
	metrics  int // requests
	bodies   bytes.Buffer
	resource map[string]string // attributes of the last sender
	headers  http.Header       // of the last request
	status   int               // 0: 200
	arrived  chan struct{}     // closed and replaced with each request
}

// Start starts a receiver, which is closed when the test ends.
func Start(tb testing.TB) *Receiver {
	tb.Helper()
	r := &Receiver{arrived: make(chan struct{})}
	server := httptest.NewServer(r)
	tb.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// Answer sets the status that requests are answered with. Those that are not 200 are answered with
// the headers that they had, and what they bring is not kept as spans.
func (r *Receiver) Answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := decoded(q)
	var sent collector.ExportTraceServiceRequest
	ofMetrics := strings.HasSuffix(q.URL.Path, "/v1/metrics")
	if err == nil && !ofMetrics {
		err = proto.Unmarshal(body, &sent)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		close(r.arrived)
		r.arrived = make(chan struct{})
	}()
	r.bodies.Write(body)
	switch {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	case r.status != 0 && r.status != http.StatusOK:
		w.WriteHeader(r.status)
		_ = q.Header.Write(w) // the sender may be gone
		return
	case ofMetrics:
		r.metrics++
	}
	r.headers = q.Header
	for _, rs := range sent.GetResourceSpans() {
		r.resource = make(map[string]string)
		for _, kv := range rs.GetResource().GetAttributes() {
			r.resource[kv.GetKey()] = kv.GetValue().GetStringValue()
		}
		for _, ss := range rs.GetScopeSpans() {
			r.spans = append(r.spans, ss.GetSpans()...)
		}
	}
}

func decoded(q *http.Request) ([]byte, error) {
	if q.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(q.Body)
	}
	plain, err := gzip.NewReader(q.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(plain)
}

// Sent returns all that was sent so far, as it was encoded, and how many requests with metrics were
// answered with 200.
func (r *Receiver) Sent() (text string, metrics int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bodies.String(), r.metrics
}

// Spans returns the spans that were sent so far.
func (r *Receiver) Spans() []*tracepb.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Sender returns the attributes of the process that has sent last, and the headers of its request.
func (r *Receiver) Sender() (resource map[string]string, headers http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resource, r.headers
}

// Arrived returns a channel that is closed when the next request was answered.
func (r *Receiver) Arrived() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arrived
}

// AwaitSpans waits until what was sent is enough, and returns it.
func (r *Receiver) AwaitSpans(tb testing.TB, enough func([]*tracepb.Span) bool) []*tracepb.Span {
	tb.Helper()
	timeout := time.After(90 * time.Second)
	for {
		next := r.Arrived()
		if spans := r.Spans(); enough(spans) {
			return spans
		}
		select {
		case <-next:
		case <-timeout:
			for _, s := range r.Spans() {
				tb.Logf("%x %x beneath %x: %s", s.GetTraceId(), s.GetSpanId(), s.GetParentSpanId(), s.GetName())
			}
			tb.Fatal("the spans that are waited for do not arrive")
		}
	}
}
