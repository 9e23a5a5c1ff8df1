package export

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/onceish/onceish/internal/testing/otlptest"
)

func newLog() (*syncBuffer, *slog.Logger) {
	text := &syncBuffer{}
	return text, slog.New(slog.NewTextHandler(text, nil))
}

func open(t *testing.T, log *slog.Logger) *Traces {
	t.Helper()
	x, err := OpenTraces(t.Context(), "billing", &Options{Version: "v1", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *Traces) makeSpan(name string) {
	_, span := x.Provider().Tracer("test").Start(context.Background(), name)
	span.End()
}

const canary = "c4n4ry"

func TestSpansAreSentAsTheEnvironmentSays(t *testing.T) {
	r := otlptest.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization="+canary)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	text, log := newLog()
	x := open(t, log)
	x.makeSpan("process order.placed")
	x.Close(30 * time.Second)
	if spans := r.Spans(); len(spans) != 1 || spans[0].GetName() != "process order.placed" {
		t.Errorf("%d spans were sent: %v", len(spans), spans)
	}
	resource, headers := r.Sender()
	if resource["service.name"] != "billing" || resource["service.version"] != "v1" || resource["deployment.environment"] != "test" {
		t.Errorf("sent by %v", resource)
	}
	if headers.Get("Authorization") != canary {
		t.Errorf("headers %v", headers)
	}
	if text.String() != "" {
		t.Errorf("logged: %s", text)
	}
}

func TestServiceNameOfTheEnvironmentWins(t *testing.T) {
	r := otlptest.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	t.Setenv("OTEL_SERVICE_NAME", "invoices")
	x := open(t, slog.New(slog.DiscardHandler))
	x.makeSpan("a")
	x.Close(30 * time.Second)
	if resource, _ := r.Sender(); resource["service.name"] != "invoices" {
		t.Errorf("sent by %v", resource)
	}
}

// A receiver that accepts connections and never answers holds nobody up.
func TestHangingReceiverDoesNotHoldUpTheEnd(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:"+canary+"@"+listener.Addr().String()+"/"+canary)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization="+canary)
	text, log := newLog()
	x := open(t, log)
	for range 10_000 { // more than the queue has room for: none of them waits
		x.makeSpan("a")
	}
	began := time.Now()
	x.Close(100 * time.Millisecond)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v to close", took)
	}
	if !strings.Contains(text.String(), "the last spans were not sent") || strings.Contains(text.String(), canary) {
		t.Errorf("logged: %s", text)
	}
}

// What the receiver answers is not logged: this one repeats the headers that it was sent.
func TestFailuresAreLoggedOnceAndSoIsTheirEnd(t *testing.T) {
	r := otlptest.Start(t)
	r.Answer(http.StatusForbidden)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key="+canary)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL+"/"+canary)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	text, log := newLog()
	x := open(t, log)
	for range 3 {
		next := r.Arrived()
		x.makeSpan("a")
		<-next
	}
	flush(t, x)
	r.Answer(http.StatusOK)
	x.makeSpan("b")
	r.AwaitSpans(t, func(spans []*tracepb.Span) bool { return len(spans) == 1 })
	x.Close(30 * time.Second)
	if s := text.String(); strings.Count(s, "spans could not be sent") != 1 || strings.Count(s, "spans are sent again") != 1 || !strings.Contains(s, "403 Forbidden") || strings.Contains(s, canary) {
		t.Errorf("logged: %s", s)
	}
}

// flush waits for what is on its way.
func flush(t *testing.T, x *Traces) {
	t.Helper()
	if err := x.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
}
