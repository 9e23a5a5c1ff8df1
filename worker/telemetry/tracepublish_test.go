package telemetry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
	"github.com/onceish/onceish/worker/handlers/publish"
	"github.com/onceish/onceish/worker/telemetry"
)

// outbox returns an outbox whose rows carry the trace of their writer, and runs a drainer of it
// until the end of the test.
func (r *traceRig) outbox() *memoutbox.Queue {
	r.t.Helper()
	q, err := memoutbox.New(&memoutbox.Options{Headers: r.traces.Headers})
	must(r.t, err)
	return q
}

func (r *traceRig) drain(q *memoutbox.Queue) {
	r.t.Helper()
	d, err := outbox.NewDrainer(q, r.traces.Publisher(r.bus), nil)
	must(r.t, err)
	run, stop := d.Actor()
	ended := make(chan error, 1)
	go func() { ended <- run() }()
	r.t.Cleanup(func() {
		stop(nil)
		must(r.t, <-ended)
	})
}

// One trace: a shop adds to an outbox, a drainer publishes, a handler publishes to the next topic,
// and a handler of that runs.
func TestOneTraceFromTheOutboxToTheNextConsumer(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		q := r.outbox()
		r.drain(q)
		forward, err := publish.New(r.traces.Publisher(r.bus), "shipping.due")
		must(t, err)
		r.subscribe("order.placed", "billing", forward.Handle, consumer.Options{})
		r.subscribe("shipping.due", "shipping", func(context.Context, bus.Event) error { return nil }, consumer.Options{})
		ctx, checkout := r.tracer.Start(r.t.Context(), "checkout")
		_, err = q.Add(ctx, order("1"))
		must(t, err)
		checkout.End()
		r.settle()
		drained, billing := r.one("send order.placed"), r.one("process order.placed")
		forwarded, shipping := r.one("send shipping.due"), r.one("process shipping.due")
		r.isChild(drained, checkout.SpanContext())
		r.isChild(billing, drained.SpanContext())
		r.isChild(forwarded, billing.SpanContext())
		r.isChild(shipping, forwarded.SpanContext())
	})
}

// The rows that a drainer publishes in one call belong to many traces: events stay in theirs, and
// the call is linked to each.
func TestDrainerLinksABatchToItsWriters(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		q := r.outbox()
		writers := make(map[trace.TraceID]trace.SpanID)
		for _, id := range []string{"1", "2", "3"} {
			ctx, span := r.tracer.Start(r.t.Context(), "checkout "+id)
			_, err := q.Add(ctx, order(id))
			must(t, err)
			span.End()
			writers[span.SpanContext().TraceID()] = span.SpanContext().SpanID()
		}
		r.subscribe("order.placed", "billing", func(context.Context, bus.Event) error { return nil }, consumer.Options{})
		r.drain(q)
		r.settle()
		send := r.one("send order.placed")
		if send.Parent().IsValid() || len(send.Links()) != 3 {
			t.Errorf("the call is a child of %v, and has %d links", send.Parent(), len(send.Links()))
		}
		for _, l := range send.Links() {
			if writers[l.SpanContext.TraceID()] != l.SpanContext.SpanID() {
				t.Errorf("a link to %v", l.SpanContext)
			}
		}
		wantAttributes(t, send, map[string]string{"messaging.batch.message_count": "3", "messaging.message.id": ""})
		runs := r.named("process order.placed")
		if len(runs) != 3 {
			t.Fatalf("%d runs, want 3", len(runs))
		}
		for _, run := range runs {
			if writers[run.SpanContext().TraceID()] != run.Parent().SpanID() {
				t.Errorf("a run is a child of %v", run.Parent())
			}
		}
	})
}

func TestPublisherDoesNotChangeTheCallersEvents(t *testing.T) {
	t.Parallel()
	r := newTraceRig(t)
	ctx, span := r.tracer.Start(t.Context(), "checkout")
	defer span.End()
	events := []bus.Event{order("1"), order("2")}
	events[1].Headers = bus.Headers{"X": {"1"}}
	_, err := r.traces.Publisher(r.bus).Publish(ctx, events...)
	must(t, err)
	if events[0].Headers != nil || len(events[1].Headers) != 1 {
		t.Errorf("the caller's events have %v and %v", events[0].Headers, events[1].Headers)
	}
}

// What was copied from an event that was handled is in the trace of the run, and not in that of the
// first publisher: the next consumer is a child of what published it last.
func TestForwardedHeadersAreReplacedWithinATrace(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		r.subscribe("order.placed", "billing", func(ctx context.Context, e bus.Event) error {
			_, err := r.traces.Publisher(r.bus).Publish(ctx, bus.Event{ID: "i", Topic: "invoice.made", Headers: e.Headers})
			return err
		}, consumer.Options{})
		r.subscribe("invoice.made", "mail", func(context.Context, bus.Event) error { return nil }, consumer.Options{})
		r.shop(order("1"))
		r.settle()
		r.isChild(r.one("process invoice.made"), r.one("send invoice.made").SpanContext())
	})
}

var errDown = errors.New("the bus is down")

type downBus struct{}

// Publish implements bus.Publisher.
func (downBus) Publish(_ context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	return make([]bus.Receipt, len(events)), errDown
}

func TestFailedSendHasItsErrorAndNoStatus(t *testing.T) {
	t.Parallel()
	r := newTraceRig(t)
	if _, err := r.traces.Publisher(downBus{}).Publish(t.Context(), order("1")); !errors.Is(err, errDown) {
		t.Errorf("%v, want %v", err, errDown)
	}
	send := r.one("send order.placed")
	wantStatus(t, send, codes.Unset)
	if len(send.Events()) != 1 || attributesOf(send.Attributes())["error.type"] == "" {
		t.Errorf("events %v", send.Events())
	}
}

func TestCarrierWritesLowerCaseAndReadsAny(t *testing.T) {
	t.Parallel()
	r := newTraceRig(t)
	ctx, span := r.tracer.Start(t.Context(), "checkout")
	defer span.End()
	h := bus.Headers{"Traceparent": {"old"}, "Baggage": {"k=v"}}
	propagation.TraceContext{}.Inject(ctx, telemetry.Carrier(h))
	if len(h["traceparent"]) != 1 || h["Traceparent"] != nil {
		t.Errorf("written as %v", h)
	}
	loud := bus.Headers{"TRACEPARENT": h["traceparent"]}
	back := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), telemetry.Carrier(loud)))
	if back.SpanID() != span.SpanContext().SpanID() {
		t.Errorf("read %v, want %v", back, span.SpanContext())
	}
	if v := telemetry.Carrier(h).Get("baggage"); v != "k=v" || len(telemetry.Carrier(h).Keys()) != 2 {
		t.Errorf("baggage %q of %v", v, telemetry.Carrier(h).Keys())
	}
	twice := telemetry.Carrier{"traceparent": {"a", "b"}}
	if v := twice.Get("traceparent"); v != "" {
		t.Errorf("of two values %q was taken", v)
	}
}

func TestRequestIsASpanBeneathTheRun(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	r := newTraceRig(t)
	got := make(chan http.Header, 1)
	status := http.StatusOK
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		got <- q.Header
		w.WriteHeader(status)
	}))
	defer endpoint.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: r.traces.RoundTripper(transport)}
	ctx, run := r.tracer.Start(t.Context(), "process")
	for _, status = range []int{http.StatusOK, http.StatusServiceUnavailable} {
		q, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.URL+"/"+canary+"?token="+canary, strings.NewReader(canary))
		must(t, err)
		q.Header.Set("Traceparent", "old")
		res, err := client.Do(q)
		must(t, err)
		_, _ = io.Copy(io.Discard, res.Body) // it is empty
		must(t, res.Body.Close())
		if q.Header.Get("Traceparent") != "old" {
			t.Error("the caller's request was changed")
		}
		spans := r.named("POST")
		span := spans[len(spans)-1]
		r.isChild(span, run.SpanContext())
		if h := <-got; !strings.Contains(h.Get("Traceparent"), span.SpanContext().SpanID().String()) {
			t.Errorf("the service got %q", h.Get("Traceparent"))
		}
		if span.SpanKind() != trace.SpanKindClient {
			t.Errorf("kind %v", span.SpanKind())
		}
		wantStatus(t, span, codes.Unset)
		wantNoCanary(t, span, canary)
	}
	wantAttributes(t, r.named("POST")[1], map[string]string{
		"http.request.method": "POST", "http.response.status_code": "503", "error.type": "503", "server.address": "127.0.0.1",
	})
	endpoint.Close()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://user:"+canary+"@"+endpoint.Listener.Addr().String()+"/"+canary, http.NoBody)
	must(t, err)
	if res, err := client.Do(q); err == nil {
		must(t, res.Body.Close())
		t.Error("a closed server answered")
	}
	wantNoCanary(t, r.one("GET"), canary)
	if attributesOf(r.one("GET").Attributes())["error.type"] == "" {
		t.Error("the request that failed has no error.type")
	}
}

// A batch of events that are not sampled makes no links, and nothing that a span would refuse.
func TestUnsampledWritersAreNotLinked(t *testing.T) {
	t.Parallel()
	r := newTraceRig(t)
	never := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())).Tracer("shop")
	events := make([]bus.Event, 500)
	for i := range events {
		ctx, span := never.Start(t.Context(), "checkout")
		if i >= 300 {
			ctx, span = r.tracer.Start(t.Context(), "checkout")
		}
		events[i] = order(strings.Repeat("x", i+1))
		events[i].Headers = r.traces.Headers(ctx)
		span.End()
	}
	_, err := r.traces.Publisher(r.bus).Publish(t.Context(), events...)
	must(t, err)
	links := r.one("send order.placed").Links()
	if len(links) != 128 {
		t.Errorf("%d links, want the 128 that a span may have", len(links))
	}
	for _, l := range links {
		if !l.SpanContext.IsSampled() {
			t.Errorf("a link to %v, which is not sampled", l.SpanContext)
		}
	}
}

func TestHeadersOfAContextWithoutASpanAreNone(t *testing.T) {
	t.Parallel()
	if h := newTraceRig(t).traces.Headers(t.Context()); h != nil {
		t.Errorf("%v", h)
	}
}
