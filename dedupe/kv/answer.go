package kv

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/natsrequest"
)

// Codes of JetStream's API errors.
const (
	codeAccountLimit     = 10002
	codeNoResources      = 10023
	codeMemoryLimit      = 10028
	codeNoMessage        = 10037
	codeStorageLimit     = 10047
	codeTooLarge         = 10054
	codeNoStream         = 10059
	codeWrongSequence    = 10071
	codeStoreFailed      = 10077
	codeHeaderTooLarge   = 10097
	codeSequenceInFlight = 10164
	codeTTLDisabled      = 10166
)

// Texts of codeStoreFailed, which has one code for all causes.
const (
	storeFull     = "maximum "
	storeTooLarge = "message too large"
)

var (
	// errConflict: the subject's last revision is another one, or one is being written.
	errConflict = errors.New("wrong last revision")
	// errNobody: nothing listens where the request was sent.
	errNobody = fmt.Errorf("%w: nobody is there: the bucket is gone or has no leader, or the JetStream domain is wrong", ErrNoAnswer)
	// errAbsent: the subject has no message.
	errAbsent = errors.New("no message")
)

type apiError struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

// mapError maps what the server refused to what it means for the store.
func (e *apiError) mapError() error {
	switch e.Code {
	case codeWrongSequence, codeSequenceInFlight:
		return errConflict
	case codeNoMessage:
		return errAbsent
	case codeTooLarge, codeHeaderTooLarge:
		return e.wrapAs(dedupe.ErrKeyRefused)
	case codeAccountLimit, codeNoResources, codeMemoryLimit, codeStorageLimit:
		return e.wrapAs(dedupe.ErrFull)
	case codeNoStream:
		return e.wrapAs(ErrNoBucket)
	case codeTTLDisabled:
		return e.wrapAs(ErrBucketUnfit)
	case codeStoreFailed:
		switch {
		case strings.HasPrefix(e.Description, storeFull):
			return e.wrapAs(dedupe.ErrFull)
		case e.Description == storeTooLarge:
			return e.wrapAs(dedupe.ErrKeyRefused)
		}
	}
	return fmt.Errorf("JetStream refused: %s (%d)", e.Description, e.Code)
}

func (e *apiError) wrapAs(err error) error {
	return fmt.Errorf("%w: %s (%d)", err, e.Description, e.Code)
}

// parsePublishAck reads the answer to a publish: the revision it became.
func parsePublishAck(m *nats.Msg) (uint64, error) {
	if err := statusError(m); err != nil {
		return 0, err
	}
	if revision, ok := natsrequest.StoredAt(m.Data); ok {
		return revision, nil
	}
	var ack struct {
		Error *apiError `json:"error"`
		Seq   uint64    `json:"seq"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("unreadable answer to a publish: %w", err)
	}
	if ack.Error != nil {
		return 0, ack.Error.mapError()
	}
	if ack.Seq == 0 {
		return 0, errors.New("answer to a publish names no sequence")
	}
	return ack.Seq, nil
}

// storedMessage is a message as the server keeps it.
type storedMessage struct {
	revision uint64
	time     time.Time
	data     []byte
	// marker: the key was deleted, purged, or is past its TTL; the message only marks that.
	marker bool
}

// parseMessage reads the answer to a request for a subject's last message; errAbsent if
// there is none.
func parseMessage(m *nats.Msg) (storedMessage, error) {
	if err := statusError(m); err != nil {
		return storedMessage{}, err
	}
	var answer struct {
		Error   *apiError `json:"error"`
		Message *struct {
			Seq  uint64    `json:"seq"`
			Hdrs []byte    `json:"hdrs"`
			Data []byte    `json:"data"`
			Time time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return storedMessage{}, fmt.Errorf("unreadable answer to a read: %w", err)
	}
	if answer.Error != nil {
		return storedMessage{}, answer.Error.mapError()
	}
	if answer.Message == nil || answer.Message.Seq == 0 {
		return storedMessage{}, errors.New("answer to a read holds no message")
	}
	msg := answer.Message
	return storedMessage{revision: msg.Seq, time: msg.Time, data: msg.Data, marker: isMarker(msg.Hdrs)}, nil
}

// isMarker looks for what a client's delete or purge, or the server's expiry, leaves behind.
func isMarker(raw []byte) bool {
	if len(raw) == 0 {
		return false
	}
	h, err := nats.DecodeHeadersMsg(raw)
	if err != nil {
		return false
	}
	op := h.Get("KV-Operation")
	return op == "DEL" || op == "PURGE" || h.Get("Nats-Marker-Reason") != ""
}

// statusError is the error in an answer that comes from no stream.
func statusError(m *nats.Msg) error {
	if len(m.Data) > 0 || len(m.Header) == 0 {
		return nil
	}
	if m.Header.Get("Status") == "503" {
		return errNobody
	}
	return nil
}
