package jetstream

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

// encode writes an event as a CloudEvent in binary mode. Headers named Nats-… stay behind: they were meant for the
// message that the event may have come in, and would control the server again.
func encode(e *bus.Event) (*nats.Msg, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	h := make(nats.Header, len(e.Headers)+int(attributes))
	values := make([]string, 0, attributes)
	set := func(a attribute, value string) {
		values = append(values, value)
		h[headerNames[a]] = values[len(values)-1 : len(values) : len(values)]
	}
	for name, vs := range e.Headers {
		pass, err := passes(e, name, vs)
		if err != nil {
			return nil, err
		}
		if pass {
			h[name] = vs
		}
	}
	set(attrMessageID, bus.MessageID(e))
	set(attrSpec, "1.0")
	set(attrID, escape(e.ID))
	set(attrSource, escape(or(e.Source, bus.DefaultSource)))
	set(attrType, escape(or(e.Type, e.Topic)))
	if !e.Time.IsZero() {
		set(attrTime, e.Time.UTC().Format(time.RFC3339Nano))
	}
	if e.ContentType != "" {
		set(attrContentType, escape(e.ContentType))
	}
	if e.Key != "" {
		set(attrKey, escape(e.Key))
	}
	return &nats.Msg{Subject: e.Topic, Header: h, Data: e.Data}, nil
}

// passes reports whether a header of the event is published. It is not if a field of the event says the same.
func passes(e *bus.Event, name string, values []string) (bool, error) {
	if !legalHeader(name) {
		return false, fmt.Errorf("%w: event %.64q: header name %.64q: only visible ASCII but none of \"()/,:;<=>?@[\\]{}", bus.ErrInvalidEvent, e.ID, name)
	}
	for _, v := range values {
		if strings.IndexByte(v, '\n') >= 0 || strings.IndexByte(v, '\r') >= 0 {
			return false, fmt.Errorf("%w: event %.64q: header %q has a line break: encode it, or put it into Data", bus.ErrInvalidEvent, e.ID, name)
		}
	}
	switch attributeOf(name) {
	case attrTime:
		return e.Time.IsZero(), nil
	case attrContentType:
		return e.ContentType == "", nil
	case attrKey:
		return e.Key == "", nil
	case noAttribute:
	default:
		return false, nil
	}
	switch {
	case len(name) >= 5 && strings.EqualFold(name[:5], "Nats-"):
		return false, nil
	case strings.EqualFold(name, contentType):
		// It would make the event a structured one.
		return !strings.HasPrefix(strings.ToLower(strings.TrimSpace(strings.Join(values, ""))), cloudEvents), nil
	}
	return true, nil
}

// legalHeader reports whether the client can send a header of this name.
func legalHeader(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"()/,:;<=>?@[\\]{}", r)
	})
}
