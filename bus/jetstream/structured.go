package jetstream

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

// envelope is a CloudEvent in the JSON format.
type envelope map[string]json.RawMessage

// structured reads an event from a JSON envelope, and moves its extension attributes to the message's headers.
func structured(m *nats.Msg, media string) (bus.Event, error) {
	if media != cloudEventsJS {
		return bus.Event{}, malformed("its format is %q: only %q is read", media, cloudEventsJS)
	}
	var env envelope
	if err := json.Unmarshal(m.Data, &env); err != nil {
		return bus.Event{}, malformed("%w", err)
	}
	var e bus.Event
	var when string
	for name, field := range map[string]*string{
		"id": &e.ID, "source": &e.Source, "type": &e.Type, "partitionkey": &e.Key,
		"datacontenttype": &e.ContentType, "time": &when,
	} {
		var err error
		if *field, err = env.text(name); err != nil {
			return bus.Event{}, err
		}
	}
	if e.ID == "" {
		return bus.Event{}, errNoID
	}
	var err error
	if e.Data, err = env.data(&e); err != nil {
		return bus.Event{}, err
	}
	if e.Time = parseTime(when); e.Time.IsZero() && when != "" {
		m.Header.Set(headerNames[attrTime], escape(when))
	}
	env.extensions(m)
	return e, nil
}

// text takes an attribute out of the envelope.
func (env envelope) text(name string) (string, error) {
	raw, ok := env[name]
	delete(env, name)
	if !ok || string(raw) == "null" {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", malformed("its %s is no string: %.64s", name, raw)
	}
	return s, nil
}

// data takes the payload out of the envelope. JSON stays as it was written; of other content, a string is its text.
func (env envelope) data(e *bus.Event) ([]byte, error) {
	raw, plain := env["data"]
	encoded, inBase64 := env["data_base64"]
	delete(env, "data")
	delete(env, "data_base64")
	switch {
	case plain && inBase64:
		return nil, malformed("it has both data and data_base64")
	case inBase64:
		var data []byte
		if err := json.Unmarshal(encoded, &data); err != nil {
			return nil, malformed("its data_base64: %w", err)
		}
		return data, nil
	case !plain || string(raw) == "null":
		return nil, nil
	}
	if e.ContentType == "" {
		e.ContentType = "application/json"
	}
	if !isJSON(e.ContentType) && bytes.HasPrefix(raw, []byte{'"'}) {
		var text string
		err := json.Unmarshal(raw, &text)
		return []byte(text), err
	}
	return raw, nil
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	media = strings.TrimSpace(media)
	return strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json")
}

// extensions makes headers of the attributes that are left, as they would be in binary mode.
func (env envelope) extensions(m *nats.Msg) {
	for name := range m.Header {
		if strings.EqualFold(name, contentType) {
			delete(m.Header, name) // It was the envelope's.
		}
	}
	delete(env, "specversion")
	for name, raw := range env {
		value := string(raw)
		if value == "null" || !legalHeader(name) {
			continue
		}
		if raw[0] == '"' {
			_ = json.Unmarshal(raw, &value) // It was parsed before.
		}
		m.Header["ce-"+name] = []string{escape(value)}
	}
}
