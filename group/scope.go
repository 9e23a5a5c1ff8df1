package group

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Outbox is the topic of a pause for the group's outbox drainers. No event can have it.
const Outbox = "$outbox"

// Bounds of a Request.
const (
	MinPause   = time.Second
	MaxPause   = 30 * 24 * time.Hour
	MaxReason  = 1 << 10
	MaxBy      = 256
	maxTopic   = 512
	maxName    = 256
	groupScope = "group"
	topicScope = "topic:"
)

// Request is what to pause or resume, and who asks for it.
type Request struct {
	// Topic is the topic. Empty: the whole group, its drainers included. Outbox: its drainers.
	Topic string
	// For is how long to pause, MinPause to MaxPause. Zero: until it is resumed. Resume ignores it.
	For time.Duration
	// Reason is why, for people: at most MaxReason bytes, without control characters.
	Reason string
	// By is who asks: at most MaxBy bytes, without control characters.
	By string
	// IfRevision is the Paused.Revision of the pause to be changed, or the Result.Revision of the
	// last request for its scope: where another one was stored since, nothing is stored, and the
	// request is ErrConflict. Zero: the request holds whatever there is.
	IfRevision uint64
}

func (r *Request) validate(group string) error {
	if r.For != 0 && (r.For < MinPause || r.For > MaxPause) {
		return fmt.Errorf("%w: For is %v: must be %v to %v, or 0", ErrInvalid, r.For, MinPause, MaxPause)
	}
	return errors.Join(validateGroup(group), validateText("Topic", r.Topic, 0, maxTopic),
		validateText("Reason", r.Reason, 0, MaxReason), validateText("By", r.By, 0, MaxBy))
}

func validateGroup(group string) error { return validateText("group", group, 1, maxName) }

func validateText(field, value string, min, max int) error {
	if n := len(value); n < min || n > max {
		return fmt.Errorf("%w: %s has %d bytes: must have %d to %d", ErrInvalid, field, n, min, max)
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return fmt.Errorf("%w: %s is %q: must be UTF-8 without control characters", ErrInvalid, field, value)
	}
	return nil
}

// scopeKey is the key of the row that says whether a topic, or the group, is paused.
func scopeKey(topic string) string {
	if topic == "" {
		return groupScope
	}
	return topicScope + topic
}

func topicOf(key string) string {
	if key == groupScope {
		return ""
	}
	return strings.TrimPrefix(key, topicScope)
}
