package jetstream

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/cloudevents"
)

// eventEncoder writes events as CloudEvents in binary mode. It is used for one event after the
// other, by one goroutine: events come by the million, and the client keeps nothing of a
// message that it has sent.
type eventEncoder struct {
	api    string // prefix of requests to the server
	msg    nats.Msg
	values []string // of the attributes
	err    error
}

func newEncoder(api string) *eventEncoder {
	return &eventEncoder{api: api, msg: nats.Msg{Header: make(nats.Header, attributes)}, values: make([]string, 0, attributes)}
}

// encode returns a message that is valid until the next call.
func (w *eventEncoder) encode(in *bus.Event) (*nats.Msg, error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	if strings.HasPrefix(in.Topic, "$") || strings.HasPrefix(in.Topic, w.api) {
		return nil, fmt.Errorf("%w: event %.64q: topic %.64q is for requests to the server, for it begins with '$' or %q: choose another one",
			bus.ErrInvalidEvent, in.ID, in.Topic, w.api)
	}
	e := in
	if len(in.Headers) > 0 {
		own := bus.DropForeignControl(*in)
		e = &own
	}
	clear(w.msg.Header)
	w.values, w.err = w.values[:0], nil
	for name, vs := range e.Headers {
		if err := validateHeader(name, vs); err != nil {
			return nil, fmt.Errorf("event %.64q: %w", e.ID, err)
		}
		w.msg.Header[name] = vs
	}
	w.set(attrMessageID, bus.MessageID(e))
	w.set(attrSpec, cloudevents.SpecVersion)
	w.text(attrID, e.ID)
	w.text(attrSource, cloudevents.SourceOf(e))
	w.text(attrType, cloudevents.TypeOf(e))
	w.text(attrContentType, e.ContentType)
	w.text(attrKey, e.Key)
	w.text(attrTime, cloudevents.TimeOf(e))
	if w.err != nil {
		return nil, fmt.Errorf("event %.64q: %w", e.ID, w.err)
	}
	w.msg.Subject, w.msg.Data = bus.SubjectOf(e.Topic), e.Data
	return &w.msg, nil
}

func (w *eventEncoder) set(a attribute, value string) {
	n := len(w.values)
	w.values = append(w.values, value)
	w.msg.Header[headerNames[a]] = w.values[n : n+1 : n+1]
}

// text writes an attribute unless it is empty.
func (w *eventEncoder) text(a attribute, value string) {
	if value == "" {
		return
	}
	encoded, ok := cloudevents.Encode(value)
	if !ok {
		w.err = fmt.Errorf("%w: its %s %.64q is not UTF-8", bus.ErrInvalidEvent, headerNames[a], value)
		return
	}
	w.set(a, encoded)
}
