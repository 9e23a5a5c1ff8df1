package jetstream

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/natsrequest"
)

// parseConfirmation reads what the server says of an event that was published.
func parseConfirmation(topic string, m *nats.Msg) bus.Receipt {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return bus.Receipt{Err: noStreamError{topic}}
	}
	if sequence, ok := natsrequest.StoredAt(m.Data); ok {
		return bus.Receipt{Sequence: sequence}
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
