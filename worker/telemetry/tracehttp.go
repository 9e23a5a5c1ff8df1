package telemetry

import (
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// RoundTripper returns a transport that makes a span of each request, and has the request carry it.
// The span has nothing of the URL but host and port.
func (t *Traces) RoundTripper(next http.RoundTripper) http.RoundTripper {
	return &tracedTransport{t, next}
}

type tracedTransport struct {
	*Traces

	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (h *tracedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := h.tracer.Start(r.Context(), r.Method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(serverOf(r)...))
	defer span.End()
	r = r.Clone(ctx)
	if f := fieldsOf(span.SpanContext()); f.parent != "" {
		r.Header.Set("Traceparent", f.parent)
		r.Header.Del("Tracestate")
		if f.state != "" {
			r.Header.Set("Tracestate", f.state)
		}
	}
	res, err := h.next.RoundTrip(r)
	if err != nil {
		// The text may have the URL, which may have a secret.
		span.SetAttributes(keyErrorType.String(errorTypeOf(err)))
		return res, err
	}
	span.SetAttributes(keyHTTPStatus.Int(res.StatusCode))
	if res.StatusCode >= http.StatusBadRequest {
		span.SetAttributes(keyErrorType.String(strconv.Itoa(res.StatusCode)))
	}
	return res, nil
}

// serverOf returns the attributes of a request.
func serverOf(r *http.Request) []attribute.KeyValue {
	out := []attribute.KeyValue{keyHTTPMethod.String(r.Method), keyServer.String(r.URL.Hostname())}
	if port, err := strconv.Atoi(r.URL.Port()); err == nil {
		out = append(out, keyServerPort.Int(port))
	}
	return out
}
