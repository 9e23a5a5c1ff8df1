package http

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/cloudevents"
	"github.com/onceish/onceish/worker/internal/header"
)

// What a request says of its event beside CloudEvents' own headers.
const (
	// HeaderTopic is the topic that the event was published to, percent-encoded.
	HeaderTopic = header.Topic
	// HeaderAttempt is 1, then one more for each run that failed.
	HeaderAttempt = header.Attempt
)

// idempotencyKey is written so because net/http sends a request again by itself that has an
// Idempotency-Key, in this spelling, and got no answer. That would be a repeat that nobody counts.
const idempotencyKey = "idempotency-key"

// requestHeaders are those of an event's request. What cannot be said in them is an error.
func (h *Handler) requestHeaders(e *bus.Event, a *consumer.Attempt) (http.Header, error) {
	out := make(http.Header, len(h.header)+len(e.Headers)+15)
	for name, values := range e.Headers {
		h.passHeader(out, name, values)
	}
	w := headerWriter{header: out, values: make([]string, 0, 15)}
	w.setHeader("Ce-Specversion", cloudevents.SpecVersion)
	w.setEncoded("Ce-Id", e.ID)
	w.setEncoded("Ce-Source", cloudevents.SourceOf(e))
	w.setEncoded("Ce-Type", cloudevents.TypeOf(e))
	if e.Key != "" {
		w.setEncoded("Ce-Partitionkey", e.Key)
	}
	if when := cloudevents.TimeOf(e); when != "" {
		w.setHeader("Ce-Time", when)
	}
	w.setEncoded(HeaderTopic, e.Topic)
	w.setEncoded(bus.HeaderGroup, h.group)
	w.setHeader(HeaderAttempt, strconv.Itoa(a.Number))
	w.setQuoted(idempotencyKey, a.IdempotencyKey)
	w.setChecked("Content-Type", cmp.Or(e.ContentType, "application/octet-stream"))
	if h.signer != nil {
		h.signer.setSignature(&w, a.IdempotencyKey, time.Now(), e.Data)
	}
	maps.Copy(out, h.header)
	return out, w.err
}

// headerWriter writes headers, and keeps the first error.
type headerWriter struct {
	header http.Header
	values []string // allocated together
	err    error
}

func (w *headerWriter) setHeader(name, value string) {
	n := len(w.values)
	w.values = append(w.values, value)
	w.header[name] = w.values[n : n+1 : n+1]
}

// setEncoded writes an attribute of any text.
func (w *headerWriter) setEncoded(name, value string) {
	encoded, ok := cloudevents.Encode(value)
	if !ok {
		w.err = cmp.Or(w.err, fmt.Errorf("the event's %s is not UTF-8, and cannot be sent: %.64q", strings.ToLower(name), value))
		return
	}
	w.setHeader(name, encoded)
}

var quotedEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// setQuoted writes a string of RFC 8941, which idempotency keys are.
func (w *headerWriter) setQuoted(name, value string) {
	if i := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f }); i >= 0 || value == "" {
		w.err = cmp.Or(w.err, fmt.Errorf("the idempotency key %.64q cannot be sent: it must be printable ASCII, and not empty", value))
		return
	}
	w.setHeader(name, `"`+quotedEscapes.Replace(value)+`"`)
}

// setChecked writes what must be a header's value as it is.
func (w *headerWriter) setChecked(name, value string) {
	if header.IllegalByte(value) >= 0 {
		w.err = cmp.Or(w.err, fmt.Errorf("the event's %s has a control character, and cannot be sent: %.64q", name, value))
		return
	}
	w.setHeader(name, value)
}

// passHeader adds a header of an event if services get it.
func (h *Handler) passHeader(out http.Header, name string, values []string) {
	canonical := http.CanonicalHeaderKey(name)
	if header.Passable(name) != nil || !h.passHeaders[canonical] && !isAlwaysPassed(canonical) {
		return
	}
	for _, v := range values {
		if header.IllegalByte(v) < 0 {
			out[canonical] = append(out[canonical], v)
		}
	}
}

// isAlwaysPassed are headers of events that every service gets: trace context, how the data is
// encoded, CloudEvents extensions, and what Onceish says of dead letters.
func isAlwaysPassed(canonical string) bool {
	switch canonical {
	case "Traceparent", "Tracestate", "Baggage", "Content-Encoding", "Content-Language":
		return true
	}
	extension, ok := strings.CutPrefix(canonical, "Ce-")
	return ok && !strings.Contains(extension, "-") || strings.HasPrefix(canonical, "Onceish-")
}
