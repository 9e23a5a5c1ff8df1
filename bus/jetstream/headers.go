package jetstream

import (
	"fmt"
	"net/textproto"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/percent"
)

// What a header is to us. Whatever is read as a plain one can be published again, so that a copy of
// any event can be stored.
const (
	contentType   = "Content-Type"
	cloudEvents   = "application/cloudevents"
	cloudEventsJS = cloudEvents + "+json"
)

// validateHeader says why a header of an event cannot be published: the wire would change it, or it
// means something else there.
func validateHeader(name string, values []string) error {
	switch {
	case name == "" || escapeHeaderName(name) != name:
		return fmt.Errorf("%w: header name %.64q: only visible ASCII, none of \"()/,:;<=>?@[\\]{}", bus.ErrInvalidEvent, name)
	case parseAttribute(name) != noAttribute && parseAttribute(name) != attrMessageID && parseAttribute(name) != attrMedia:
		return fmt.Errorf("%w: header %q is a field of the event: set that instead", bus.ErrInvalidEvent, name)
	case parseAttribute(name) == attrMedia && isCloudEvents(values):
		return fmt.Errorf("%w: header %q says that Data is a CloudEvent in structured mode: set Event.ContentType instead", bus.ErrInvalidEvent, name)
	}
	for _, v := range values {
		if !isLegalHeaderValue(v) {
			return fmt.Errorf("%w: header %q has a line break, or space around its value: encode it, or put it into Data", bus.ErrInvalidEvent, name)
		}
	}
	return nil
}

func isCloudEvents(contentTypes []string) bool {
	return len(contentTypes) > 0 && strings.HasPrefix(strings.ToLower(strings.TrimSpace(contentTypes[0])), cloudEvents)
}

// cleanHeaders turns a received message's headers, the attributes of which were read, into an
// event's: headers between bus and server are left out, and what the client could not publish
// again is encoded.
func cleanHeaders(h nats.Header) bus.Headers {
	for name, values := range h {
		if bus.ServerHeader(name) {
			delete(h, name)
			continue
		}
		for i, v := range values {
			if !isLegalHeaderValue(v) {
				values[i] = textproto.TrimString(strings.NewReplacer("\r", " ", "\n", " ").Replace(v))
			}
		}
		if escaped := escapeHeaderName(name); escaped != name {
			delete(h, name)
			h[escaped] = values
		}
	}
	return bus.Headers(h)
}

func isLegalHeaderValue(v string) bool {
	return strings.Trim(v, " \t") == v && strings.IndexByte(v, '\n') < 0 && strings.IndexByte(v, '\r') < 0
}

// isLegalHeaderByte reports whether the client can send a header with c in its name.
func isLegalHeaderByte(c byte) bool { return legalHeaderBytes[c] }

// legalHeaderBytes are visible ASCII without what separates: names are read for every header of
// every event.
var legalHeaderBytes = func() (legal [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		legal[c] = strings.IndexByte("\"()/,:;<=>?@[\\]{}", c) < 0
	}
	return legal
}()

// escapeHeaderName percent-encodes what is illegal in a header's name.
func escapeHeaderName(name string) string {
	for i := range len(name) {
		if !isLegalHeaderByte(name[i]) {
			return percent.Encode(name, isLegalHeaderByte)
		}
	}
	return name
}
