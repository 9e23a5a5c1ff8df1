package jetstream

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// confirmation reads what the server says of an event that was published.
func confirmation(topic string, m *nats.Msg) bus.Receipt {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return bus.Receipt{Err: noStream(topic)}
	}
	if r, ok := quickReceipt(m.Data); ok {
		return r
	}
	var ack struct {
		Stream    string              `json:"stream"`
		Sequence  uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
		Error     *jetstream.APIError `json:"error"`
	}
	err := json.Unmarshal(m.Data, &ack)
	switch {
	case err != nil || ack.Error == nil && ack.Stream == "":
		return bus.Receipt{Err: fmt.Errorf("jetstream: publish to %q: the answer %.64q is no confirmation: something else than a stream answers on this topic", topic, m.Data)}
	case ack.Error == nil:
		return bus.Receipt{Sequence: ack.Sequence, Duplicate: ack.Duplicate}
	default:
		return bus.Receipt{Err: fmt.Errorf("jetstream: publish to %q: %w: %w", topic, kind(ack.Error), ack.Error)}
	}
}

// Codes of the server that nats.go has no names for.
const (
	codeHeaderTooLarge jetstream.ErrorCode = 10097 // over 64 KiB
	codeSealed         jetstream.ErrorCode = 10109
	badRequest                             = 400
)

// kind tells what an answer of the server says of the event. With status 400 it is about the event, with others about the stream: 503 that it is
// full or has no resources, 409 that a copy of the event is being stored, 429 that too much is.
func kind(e *jetstream.APIError) error {
	switch {
	case e.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum || e.ErrorCode == codeHeaderTooLarge:
		return bus.ErrTooLarge
	case e.Code == badRequest && e.ErrorCode != codeSealed:
		return bus.ErrRefused
	}
	return bus.ErrUnavailable
}

// quickReceipt reads a confirmation as the server writes it nearly always.
func quickReceipt(data []byte) (r bus.Receipt, ok bool) {
	rest, ok := strings.CutPrefix(string(data), `{"stream":"`)
	if !ok {
		return r, false
	}
	stream, rest, ok := strings.Cut(rest, `", "seq":`)
	if !ok || stream == "" || strings.ContainsAny(stream, `"\`) {
		return r, false
	}
	if n := len(rest) - 1; n > 0 && rest[n] == '}' {
		r.Sequence, ok = parseNumber(rest[:n])
		return r, ok && rest[0] != '0'
	}
	return r, false
}
