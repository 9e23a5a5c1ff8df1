package handlers

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// What a request says of its event beside CloudEvents' own headers.
const (
	// HeaderTopic is the topic that the event was published to, percent-encoded.
	HeaderTopic = "Onceish-Topic"
	// HeaderAttempt is 1, then one more for each run that failed.
	HeaderAttempt = "Onceish-Attempt"
)

// idempotencyKey is written so because net/http sends a request again by itself that has an Idempotency-Key, in this spelling, and got
// no answer. That would be a repeat that nobody counts.
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
	w.set(name, percent(value))
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
	if illegalByte(value) >= 0 {
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
	if PassableHeader(name) != nil || !h.allowed[canonical] && !universal(canonical) {
		return
	}
	for _, v := range values {
		if illegalByte(v) < 0 {
			out[canonical] = append(out[canonical], v)
		}
	}
}

// universal are headers of events that every service gets: trace context, how the data is encoded, CloudEvents extensions, and what
// Onceish says of dead letters.
func universal(canonical string) bool {
	switch canonical {
	case "Traceparent", "Tracestate", "Baggage", "Content-Encoding", "Content-Language":
		return true
	}
	extension, ok := strings.CutPrefix(canonical, "Ce-")
	return ok && !strings.Contains(extension, "-") || strings.HasPrefix(canonical, "Onceish-")
}

// PassableHeader is nil for the name of a header that an event may bring to a service: of what comes from publishers nothing may frame
// the request, authorize it, or say who sends it and where to.
func PassableHeader(name string) error {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case !token(name):
		return errors.New("the name of a header has letters, digits and dashes")
	case strings.Contains(name, "_"):
		return errors.New("services cannot tell an underscore in the name of a header from a dash, and with dashes the name may be another's")
	case perEvent(canonical), canonical == "Content-Type":
		return fmt.Errorf("the header %s is set for each request", canonical)
	case framing(canonical):
		return fmt.Errorf("the header %s belongs to the connection", canonical)
	case authority(canonical):
		return fmt.Errorf("the header %s says who sends a request and where to, which no publisher may", canonical)
	}
	return nil
}

// perEvent are headers that say which event this is. They are always ours.
func perEvent(canonical string) bool {
	switch canonical {
	case "Ce-Id", "Ce-Source", "Ce-Type", "Ce-Time", "Ce-Specversion", "Ce-Partitionkey", "Ce-Datacontenttype",
		"Idempotency-Key", "X-Idempotency-Key", HeaderTopic, HeaderAttempt, bus.HeaderGroup:
		return true
	}
	return false
}

// framing are headers between the two ends of a connection.
func framing(canonical string) bool {
	switch canonical {
	case "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings", "Proxy-Connection", "Content-Length", "Expect":
		return true
	}
	return false
}

// authority are headers that say who sends a request, on whose behalf, and what of.
func authority(canonical string) bool {
	switch canonical {
	case "Authorization", "Cookie", "Cookie2", "Set-Cookie", "Host", "Origin", "Referer", "User-Agent", "Via", "Forwarded", "From", "Proxy",
		"Remote-User", "X-Remote-User", "Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip",
		"X-Method-Override", "X-Rewrite-Url":
		return true
	}
	for _, prefix := range [...]string{"Proxy-", "Sec-", "X-Forwarded-", "X-Auth-Request-", "X-Amzn-Oidc-", "X-Http-Method", "X-Original-", "Nats-"} {
		if strings.HasPrefix(canonical, prefix) {
			return true
		}
	}
	return false
}
