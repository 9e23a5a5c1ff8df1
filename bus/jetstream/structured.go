package jetstream

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/cloudevents"
)

// envelope is a CloudEvent in the JSON format.
type envelope map[string]json.RawMessage

// decodeStructured reads an event from a JSON envelope, and moves its extension attributes to the
// message's headers. The content type among those was the envelope's. An envelope that cannot be
// read stays the data, and keeps its content type.
func decodeStructured(m *nats.Msg, f *attributeSet) (bus.Event, error) {
	media := f.rawValue(attrMedia)
	if f.has(attrMedia) {
		delete(m.Header, f.names[attrMedia])
		f.names[attrMedia] = ""
	} else {
		media = cloudEventsJS
	}
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	env, err := parseEnvelope(m.Data, media)
	var e bus.Event
	if err == nil {
		e, err = env.toEvent()
	}
	if err != nil {
		return bus.Event{Data: m.Data, ContentType: media}, err
	}
	for name, value := range env.extensionHeaders() {
		m.Header[name] = []string{value}
		f.onlyAttributes = false
	}
	return e, nil
}

// bareEnvelope reports whether a message's data is an envelope, though no header says so.
func bareEnvelope(m *nats.Msg, f *attributeSet) bool {
	if f.has(attrMedia) || f.has(attrID) || f.has(attrSpec) || !bytes.HasPrefix(bytes.TrimLeft(m.Data, " \t\r\n"), []byte{'{'}) {
		return false
	}
	var required struct {
		Spec   string `json:"specversion"`
		ID     string `json:"id"`
		Source string `json:"source"`
		Type   string `json:"type"`
	}
	err := json.Unmarshal(m.Data, &required)
	return err == nil && required.Spec != "" && required.ID != "" && required.Source != "" && required.Type != ""
}

func parseEnvelope(data []byte, media string) (env envelope, err error) {
	format, _, _ := strings.Cut(media, ";")
	format = strings.TrimSpace(format)
	if !strings.EqualFold(format, cloudEventsJS) && !strings.EqualFold(format, cloudEvents) { // JSON is what the binding means by default
		return nil, malformedError("its format is %q: only %q is read", media, cloudEventsJS)
	}
	if err := json.Unmarshal(data, &env); err != nil {
		return nil, malformedError("%w", err)
	}
	return env, nil
}

// toEvent takes all out of the envelope that is a field of an event.
func (env envelope) toEvent() (e bus.Event, err error) {
	var when string
	for _, a := range []struct {
		name  string
		field *string
	}{
		{"id", &e.ID},
		{"source", &e.Source},
		{"type", &e.Type},
		{"partitionkey", &e.Key},
		{"datacontenttype", &e.ContentType},
		{"time", &when},
	} {
		if *a.field, err = env.takeString(a.name); err != nil {
			return e, err
		}
	}
	if e.ID == "" {
		return e, errNoID
	}
	e.Time = parseTime(when)
	e.Data, err = env.takeData(&e)
	return e, err
}

// takeString takes an attribute out of the envelope.
func (env envelope) takeString(name string) (string, error) {
	raw, ok := env[name]
	delete(env, name)
	if !ok || string(raw) == "null" {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", malformedError("its %s is no string: %.64s", name, raw)
	}
	return s, nil
}

// takeData takes the payload out of the envelope. JSON stays as it was written; of other content, a
// string is its text.
func (env envelope) takeData(e *bus.Event) ([]byte, error) {
	raw, plain := env["data"]
	encoded, inBase64 := env["data_base64"]
	delete(env, "data")
	delete(env, "data_base64")
	switch {
	case plain && inBase64:
		return nil, malformedError("it has both data and data_base64")
	case inBase64:
		var data []byte
		if err := json.Unmarshal(encoded, &data); err != nil {
			return nil, malformedError("its data_base64: %w", err)
		}
		return data, nil
	case !plain || string(raw) == "null":
		return nil, nil
	}
	if e.ContentType == "" {
		e.ContentType = "application/json"
	}
	if !cloudevents.IsJSON(e.ContentType) && bytes.HasPrefix(raw, []byte{'"'}) {
		var text string
		err := json.Unmarshal(raw, &text)
		return []byte(text), err
	}
	return raw, nil
}

// extensionHeaders are the attributes that are left, as the headers they would be in binary mode.
func (env envelope) extensionHeaders() map[string]string {
	headers := map[string]string{}
	for name, raw := range env {
		header := "ce-" + name
		if string(raw) == "null" || parseAttribute(header) != noAttribute {
			continue
		}
		value := string(raw)
		if raw[0] == '"' {
			_ = json.Unmarshal(raw, &value) // It was parsed before.
		}
		headers[header] = escape(value)
	}
	return headers
}
