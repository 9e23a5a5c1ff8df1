package handlers

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/percent"
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

// headers are those of an event's request. What cannot be said in them is an error.
func (h *HTTP) headers(e *bus.Event, a *consumer.Attempt) (http.Header, error) {
	out := make(http.Header, len(h.header)+len(e.Headers)+12)
	for name, values := range e.Headers {
		h.pass(out, name, values)
	}
	w := headerWriter{header: out, values: make([]string, 0, 12)}
	w.set("Ce-Specversion", "1.0")
	w.text("Ce-Id", e.ID)
	w.text("Ce-Source", or(e.Source, bus.DefaultSource))
	w.text("Ce-Type", or(e.Type, e.Topic))
	if e.Key != "" {
		w.text("Ce-Partitionkey", e.Key)
	}
	if !e.Time.IsZero() {
		w.set("Ce-Time", e.Time.UTC().Format(time.RFC3339Nano))
	}
	w.text(HeaderTopic, e.Topic)
	w.text(bus.HeaderGroup, h.group)
	w.set(HeaderAttempt, strconv.Itoa(a.Number))
	w.quoted(idempotencyKey, a.IdempotencyKey)
	w.checked("Content-Type", or(e.ContentType, "application/octet-stream"))
	maps.Copy(out, h.header)
	return out, w.err
}

// headerWriter writes headers, and keeps the first error.
type headerWriter struct {
	header http.Header
	values []string // allocated together
	err    error
}

func (w *headerWriter) set(name, value string) {
	n := len(w.values)
	w.values = append(w.values, value)
	w.header[name] = w.values[n : n+1 : n+1]
}

// text writes an attribute of any text.
func (w *headerWriter) text(name, value string) {
	if !utf8.ValidString(value) {
		w.fail(fmt.Errorf("the event's %s is not UTF-8, and cannot be sent: %.64q", strings.ToLower(name), value))
		return
	}
	w.set(name, percent.Encode(value, percent.Attribute))
}

// quoted writes a string of RFC 8941, which idempotency keys are.
func (w *headerWriter) quoted(name, value string) {
	if i := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f }); i >= 0 || value == "" {
		w.fail(fmt.Errorf("the idempotency key %.64q cannot be sent: it must be printable ASCII, and not empty", value))
		return
	}
	if strings.ContainsAny(value, `"\`) {
		value = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
	}
	w.set(name, `"`+value+`"`)
}

// checked writes what must be a header's value as it is.
func (w *headerWriter) checked(name, value string) {
	if header.IllegalByte(value) >= 0 {
		w.fail(fmt.Errorf("the event's %s has a control character, and cannot be sent: %.64q", name, value))
		return
	}
	w.set(name, value)
}

func (w *headerWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// pass adds a header of an event if services get it.
func (h *HTTP) pass(out http.Header, name string, values []string) {
	canonical := http.CanonicalHeaderKey(name)
	if header.Passable(name) != nil || !h.allowed[canonical] && !universal(canonical) {
		return
	}
	for _, v := range values {
		if header.IllegalByte(v) < 0 {
			out[canonical] = append(out[canonical], v)
		}
	}
}

// universal are headers of events that every service gets: trace context, how the data is encoded,
// CloudEvents extensions, and what Onceish says of dead letters.
func universal(canonical string) bool {
	switch canonical {
	case "Traceparent", "Tracestate", "Baggage", "Content-Encoding", "Content-Language":
		return true
	}
	extension, ok := strings.CutPrefix(canonical, "Ce-")
	return ok && !strings.Contains(extension, "-") || strings.HasPrefix(canonical, "Onceish-")
}
