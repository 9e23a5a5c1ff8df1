package main

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/internal/testing/otlptest"
)

const (
	checkoutTrace = "0af7651916cd43dd8448eb211c80319c"
	checkoutSpan  = "b7ad6b7169203331"
	traceCanary   = "c4n4ry"
)

// sentSpans are what a receiver was sent, by name.
type sentSpans map[string]*tracepb.Span

func (s sentSpans) isBeneath(t *testing.T, name, parent string) {
	t.Helper()
	span := s[name]
	if span == nil {
		t.Errorf("there is no span %q", name)
		return
	}
	want := checkoutSpan
	if of := s[parent]; of != nil {
		want = hex.EncodeToString(of.GetSpanId())
	}
	if got := hex.EncodeToString(span.GetParentSpanId()); got != want || hex.EncodeToString(span.GetTraceId()) != checkoutTrace {
		t.Errorf("%q is beneath %s in trace %x, want beneath %s, which is %q", name, got, span.GetTraceId(), want, parent)
	}
}

func (s sentSpans) id(name string) string { return hex.EncodeToString(s[name].GetSpanId()) }

// TestOneTraceThroughEveryHandler: from a publisher over an outbox and two topics to a command, and
// to a service. The spans arrive when the worker ends, and have no secret.
func TestOneTraceThroughEveryHandler(t *testing.T) {
	t.Parallel()
	receiver, server, h := otlptest.Start(t), natstest.Start(t, nil), newHouse(t)
	asked := make(chan http.Header, 1)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header }))
	t.Cleanup(service.Close)
	check(t, os.WriteFile(h.path("worker.yaml"), []byte(`
group: shop
outbox: {}
subscriptions:
  - {topic: order.placed, handler: {publish: {topic: invoice.due, outbox: true}}}
  - {topic: invoice.due, handler: {publish: {topic: shipping.due}}}
  - {topic: shipping.due, handler: {exec: 'echo "$TRACEPARENT" "$OTEL_EXPORTER_OTLP_HEADERS" >traceparent'}}
  - topic: hook.due
    handler:
      http: {url: "`+service.URL+`/`+traceCanary+`", headers: {Authorization: `+traceCanary+`}}
`), 0o600))
	h.env = append(
		h.env, "NATS_URL="+server.URL(), "MONGODB_URI="+database(t), "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL,
		"OTEL_EXPORTER_OTLP_HEADERS=authorization="+traceCanary, "OTEL_BSP_SCHEDULE_DELAY=3600000",
	)
	b, err := natsbus.New(server.Connect(t), &natsbus.Options{Provision: &natsbus.Provision{}})
	check(t, err)
	t.Cleanup(b.Close)
	for _, topic := range []string{"order.placed", "hook.due"} {
		check(t, b.Provision(t.Context(), topic))
		_, err = b.Publish(t.Context(), bus.Event{
			ID: "17", Topic: topic, Key: traceCanary, Data: []byte(traceCanary),
			Headers: bus.Headers{"traceparent": {"00-" + checkoutTrace + "-" + checkoutSpan + "-01"}, "X-Secret": {traceCanary}},
		})
		check(t, err)
	}
	p := h.start("run", "-c", "worker.yaml", "--provision")
	told := h.wait("traceparent")
	header := <-asked
	p.signal(syscall.SIGTERM)
	p.exits(0)

	spans := make(sentSpans)
	for _, s := range receiver.Spans() {
		spans[s.GetName()] = s
		if strings.Contains(s.String(), traceCanary) {
			t.Errorf("a span has the secret: %v", s)
		}
	}
	spans.isBeneath(t, "process order.placed", "")
	spans.isBeneath(t, "send invoice.due", "process order.placed")
	spans.isBeneath(t, "process invoice.due", "send invoice.due")
	spans.isBeneath(t, "send shipping.due", "process invoice.due")
	spans.isBeneath(t, "process shipping.due", "send shipping.due")
	spans.isBeneath(t, "settle shipping.due", "process shipping.due")
	spans.isBeneath(t, "process hook.due", "")
	spans.isBeneath(t, "POST", "process hook.due")
	if want := "00-" + checkoutTrace + "-" + spans.id("process shipping.due") + "-01"; told != want {
		t.Errorf("the command is told %q, want %q", told, want)
	}
	if got, want := header.Get("Traceparent"), "00-"+checkoutTrace+"-"+spans.id("POST")+"-01"; got != want {
		t.Errorf("the service is told %q, want %q", got, want)
	}
	if resource, _ := receiver.Sender(); resource["service.name"] != "shop" {
		t.Errorf("sent by %v", resource)
	}
	p.keepsQuietAbout(traceCanary)
}

// keepsQuietAbout checks that the process has not said something.
func (p *process) keepsQuietAbout(secret string) {
	p.t.Helper()
	log, err := os.ReadFile(p.stderr)
	if err != nil || strings.Contains(string(log), secret) {
		p.t.Errorf("%v; it says %s", err, log)
	}
}

// Without those variables commands and services still get the trace of the publisher.
func TestWithoutExportThePublishersTraceIsPassedOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	asked := make(chan http.Header, 1)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the event
		asked <- r.Header
	}))
	t.Cleanup(service.Close)
	check(t, os.WriteFile(h.path("worker.yaml"), []byte(`
group: shop
subscriptions:
  - {topic: hook.due, handler: {http: {url: "`+service.URL+`"}}}
  - {topic: order.placed, handler: {exec: 'echo "$TRACEPARENT" >traceparent'}}
`), 0o600))
	server := natstest.Start(t, nil)
	h.env = append(h.env, "NATS_URL="+server.URL())
	b, err := natsbus.New(server.Connect(t), &natsbus.Options{Provision: &natsbus.Provision{}})
	check(t, err)
	t.Cleanup(b.Close)
	const parent = "00-" + checkoutTrace + "-" + checkoutSpan + "-01"
	for _, topic := range []string{"order.placed", "hook.due"} {
		check(t, b.Provision(t.Context(), topic))
		_, err = b.Publish(t.Context(), bus.Event{ID: "17", Topic: topic, Headers: bus.Headers{"traceparent": {parent}}})
		check(t, err)
	}
	h.start("run", "-c", "worker.yaml", "--provision", "--until-empty").exits(0)
	if told, header := h.wait("traceparent"), <-asked; told != parent || header.Get("Traceparent") != parent {
		t.Errorf("the command is told %q, the service %q, want %q", told, header.Get("Traceparent"), parent)
	}
}
