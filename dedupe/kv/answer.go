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

// apiAnswer is what every answer of the API may have.
type apiAnswer struct {
	Error *apiError `json:"error"`
}

func (a *apiAnswer) refusal() error {
	if a.Error == nil {
		return nil
	}
	return a.Error.mapError()
}

// decodeAnswer reads an answer, which is named what, unless the server refused the request.
func decodeAnswer(m *nats.Msg, what string, answer interface{ refusal() error }) error {
	if err := statusError(m); err != nil {
		return err
	}
	if err := json.Unmarshal(m.Data, answer); err != nil {
		return fmt.Errorf("unreadable %s: %w", what, err)
	}
	return answer.refusal()
}

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
	if revision, ok := natsrequest.StoredAt(m.Data); ok {
		return revision, nil
	}
	var ack struct {
		apiAnswer

		Seq uint64 `json:"seq"`
	}
	if err := decodeAnswer(m, "answer to a publish", &ack); err != nil {
		return 0, err
	}
	if ack.Seq == 0 {
		return 0, errors.New("answer to a publish names no sequence")
	}
	return ack.Seq, nil
}

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
	var answer struct {
		apiAnswer

		Message *struct {
			Seq  uint64    `json:"seq"`
			Hdrs []byte    `json:"hdrs"`
			Data []byte    `json:"data"`
			Time time.Time `json:"time"`
		} `json:"message"`
	}
	if err := decodeAnswer(m, "answer to a read", &answer); err != nil {
		return storedMessage{}, err
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
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return errNobody
	}
	return nil
}
