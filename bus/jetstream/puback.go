package jetstream

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// What the server says when it cannot store an event, which the client has no names for.
const (
	codeNoResources jetstream.ErrorCode = 10023
	codeNoStorage   jetstream.ErrorCode = 10047
	codeStoreFailed jetstream.ErrorCode = 10077
)

// parseConfirmation reads what the server says of an event that was published.
func parseConfirmation(topic string, m *nats.Msg) bus.Receipt {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return bus.Receipt{Err: noStreamError(topic)}
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
		return bus.Receipt{Err: fmt.Errorf("jetstream: publish to %q: %w: %w%s", topic, classifyAPIError(ack.Error), ack.Error, adviseOnAPIError(ack.Error))}
	}
}

// Codes of the server that nats.go has no names for.
const (
	codeHeaderTooLarge jetstream.ErrorCode = 10097 // over 64 KiB
	codeSealed         jetstream.ErrorCode = 10109
	badRequest                             = 400
)

// classifyAPIError tells what an answer of the server says of the event. With status 400 it is
// about the event, with others about the stream: 503 that it is full or has no resources, 409 that
// a copy of the event is being stored, 429 that too much is.
func classifyAPIError(e *jetstream.APIError) error {
	switch {
	case e.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum || e.ErrorCode == codeHeaderTooLarge:
		return bus.ErrTooLarge
	case e.Code == badRequest && e.ErrorCode != codeSealed:
		return bus.ErrRefused
	}
	return bus.ErrUnavailable
}

// adviseOnAPIError says what to try about an answer that does not say so itself.
func adviseOnAPIError(e *jetstream.APIError) string {
	switch e.ErrorCode {
	case codeNoResources, codeNoStorage, codeStoreFailed:
		return ": the server cannot store it: see its log, the space on its disk, and the limits of server, account and stream"
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return ": see the stream's max_msg_size"
	default:
		return ""
	}
}

// quickReceipt reads a confirmation as servers write it nearly always: those before
// 2.12 with spaces.
func quickReceipt(data []byte) (r bus.Receipt, ok bool) {
	rest, ok := quickField(data, `{"stream":"`)
	if !ok {
		return r, false
	}
	if behind, ok := quickField(rest, `"domain":"`); ok {
		rest = behind
	}
	rest, ok = bytes.CutPrefix(rest, []byte(`"seq":`))
	n := len(rest) - 1
	if !ok || n < 1 || rest[n] != '}' || rest[0] == '0' {
		return r, false
	}
	r.Sequence, ok = parseNumber(string(rest[:n]))
	return r, ok
}

// quickField is what follows a member of a JSON object, the value of which is not empty and
// needs no decoding.
func quickField(data []byte, begins string) (rest []byte, ok bool) {
	if len(data) < len(begins) || string(data[:len(begins)]) != begins {
		return nil, false
	}
	data = data[len(begins):]
	end := bytes.IndexAny(data, `"\`)
	if end < 1 || !bytes.HasPrefix(data[end:], []byte(`",`)) {
		return nil, false
	}
	return bytes.TrimPrefix(data[end+len(`",`):], []byte(" ")), true
}
