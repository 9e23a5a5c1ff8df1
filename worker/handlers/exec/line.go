package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/cloudevents"
)

// streamLine is what a command of mode stream is told of an event, but for the delivery's number,
// which goes before it.
type streamLine struct {
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Time            string          `json:"time,omitempty"`
	Topic           string          `json:"topic"`
	Group           string          `json:"group"`
	Key             string          `json:"key"`
	IdempotencyKey  string          `json:"idempotency_key"`
	Attempt         int             `json:"attempt"`
	Token           uint64          `json:"token"`
	DataContentType string          `json:"datacontenttype,omitempty"`
	Headers         bus.Headers     `json:"headers"`
	Data            json.RawMessage `json:"data,omitempty"`
	DataBase64      []byte          `json:"data_base64,omitempty"`
}

// encodeEvent returns the line of an event without its first brace: withDelivery completes it. Data
// that is JSON, in UTF-8, is a part of it without the white space; other data is base64. Of the
// attributes, bytes that are no UTF-8 become U+FFFD.
func encodeEvent(ctx context.Context, e *bus.Event, group string) ([]byte, error) {
	a := consumer.AttemptFrom(ctx)
	l := streamLine{
		ID: e.ID, Source: cloudevents.SourceOf(e), Type: cloudevents.TypeOf(e), Time: cloudevents.TimeOf(e), Topic: e.Topic, Group: group, Key: e.Key,
		IdempotencyKey: a.IdempotencyKey, Attempt: a.Number, Token: a.Token, DataContentType: e.ContentType, Headers: e.Headers,
	}
	if l.Headers == nil {
		l.Headers = bus.Headers{}
	}
	if utf8.Valid(e.Data) && json.Valid(e.Data) {
		l.Data = e.Data
	} else {
		l.DataBase64 = e.Data
	}
	var line bytes.Buffer
	line.Grow(512 + len(e.Data))
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&l); err != nil {
		return nil, err
	}
	return line.Bytes()[1:], nil
}

// withDelivery appends the line of a delivery to the buffer, with its place in a batch of that
// size; 0 is none.
func withDelivery(buffer []byte, number uint64, index, size int, event []byte) []byte {
	buffer = append(buffer, `{"delivery":`...)
	buffer = strconv.AppendUint(buffer, number, 10)
	if size > 0 {
		buffer = fmt.Appendf(buffer, `,"batch":{"index":%d,"size":%d}`, index, size)
	}
	buffer = append(buffer, ',')
	return append(buffer, event...)
}
