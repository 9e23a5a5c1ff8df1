package view

import (
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
)

// Payload is what is in an event.
type Payload struct {
	Headers    map[string][]string `json:"headers,omitempty"`
	Data       *string             `json:"data,omitempty" doc:"data that is text"`
	DataBase64 []byte              `json:"data_base64,omitempty" doc:"data that is no text"`
}

// NewPayload returns the view of an event's payload.
func NewPayload(e *bus.Event) Payload {
	out := Payload{Headers: e.Headers}
	if utf8.Valid(e.Data) {
		text := string(e.Data)
		out.Data = &text
	} else {
		out.DataBase64 = e.Data
	}
	return out
}

// FormatTime returns a time in UTC. Zero: nothing.
func FormatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
