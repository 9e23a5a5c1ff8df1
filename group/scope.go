package group

import (
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
	maxGroup   = 256
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
}

func (r *Request) validate(group string) error {
	if err := validateGroup(group); err != nil {
		return err
	}
	if r.For != 0 && (r.For < MinPause || r.For > MaxPause) {
		return fmt.Errorf("%w: For is %v: must be %v to %v, or 0", ErrInvalid, r.For, MinPause, MaxPause)
	}
	for _, f := range []struct {
		field, value string
		max          int
	}{{"Topic", r.Topic, maxTopic}, {"Reason", r.Reason, MaxReason}, {"By", r.By, MaxBy}} {
		if err := validateText(f.field, f.value, f.max); err != nil {
			return err
		}
	}
	return nil
}

func validateGroup(group string) error {
	if group == "" {
		return fmt.Errorf("%w: group is empty", ErrInvalid)
	}
	return validateText("group", group, maxGroup)
}

func validateText(field, value string, max int) error {
	switch {
	case len(value) > max:
		return fmt.Errorf("%w: %s has %d bytes: must have at most %d", ErrInvalid, field, len(value), max)
	case !utf8.ValidString(value):
		return fmt.Errorf("%w: %s is %q: must be UTF-8", ErrInvalid, field, value)
	case strings.ContainsFunc(value, unicode.IsControl):
		return fmt.Errorf("%w: %s is %q: must have no control characters", ErrInvalid, field, value)
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
	topic, _ := strings.CutPrefix(key, topicScope)
	if key == groupScope {
		return ""
	}
	return topic
}
