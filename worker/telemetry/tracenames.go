package telemetry

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Attributes that only spans have.
const (
	keyTemplate   = attribute.Key("messaging.destination.template")
	keyMessageID  = attribute.Key("messaging.message.id")
	keyBodySize   = attribute.Key("messaging.message.body.size")
	keyBatchCount = attribute.Key("messaging.batch.message_count")

	keyExceptionType    = attribute.Key("exception.type")
	keyExceptionMessage = attribute.Key("exception.message")

	keyHTTPMethod = attribute.Key("http.request.method")
	keyHTTPStatus = attribute.Key("http.response.status_code")
	keyServer     = attribute.Key("server.address")
	keyServerPort = attribute.Key("server.port")

	// keyTraceAttempt is the number of the run, and keyTraceOutcome how its delivery ended.
	keyTraceAttempt = attribute.Key("onceish.attempt")
	keyTraceOutcome = attribute.Key("onceish.outcome")
	// keyLink says what a link leads to: linkPublisher or linkAttempt.
	keyLink = attribute.Key("onceish.link")
)

const (
	linkPublisher = "publisher"
	linkAttempt   = "previous attempt"
)

// What values have at most, in bytes.
const (
	maxIDText    = 256
	maxErrorText = 1 << 10
)

// traceText is a text of any origin as spans may have it: of a bounded length, and UTF-8, without
// which a whole batch of spans cannot be sent.
func traceText(s string, limit int) string {
	out := strings.ToValidUTF8(s[:min(len(s), limit)], "\uFFFD") // which may be longer
	if len(s) <= limit && len(out) <= limit {
		return out
	}
	return strings.ToValidUTF8(out[:min(len(out), limit)], "") + "…"
}

// linkTo returns a link to a span, with what it leads to.
func linkTo(c trace.SpanContext, what string) trace.Link {
	return trace.Link{SpanContext: c, Attributes: []attribute.KeyValue{keyLink.String(what)}}
}
