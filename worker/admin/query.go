package admin

import (
	"fmt"
	"strconv"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker/config"
)

// PageQuery says which page of a list is wanted.
type PageQuery struct {
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"how many at most"`
	After string `query:"after" doc:"position after which the page begins: next of the page before" example:"orders@1769817600000000000:4711:1769904000000000000"`
}

// PayloadQuery says whether payloads are wanted.
type PayloadQuery struct {
	Payload bool `query:"payload" doc:"1: with the data and the headers of events"`
}

// parseTime returns a time, milliseconds since 1970, or how long ago. Empty: the zero time.
func parseTime(name, text string, now time.Time) (time.Time, error) {
	m, err := parseMoment(name, text)
	if m.Ago > 0 {
		return now.Add(-m.Ago), err
	}
	return m.Time, err
}

// parseMoment is parseTime where the server of the outbox reckons how long ago that is.
func parseMoment(name, text string) (outbox.Moment, error) {
	if text == "" {
		return outbox.Moment{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return outbox.Moment{Time: at.UTC()}, nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms > 0 && ms <= lastMilli {
		return outbox.Moment{Time: time.UnixMilli(ms).UTC()}, nil
	}
	if ago, err := config.ParseDuration(text); err == nil && ago > 0 {
		return outbox.Moment{Ago: ago}, nil
	}
	return outbox.Moment{}, fmt.Errorf("%w: %s is %.64q: it must be a time such as 2026-01-31T15:04:05Z, milliseconds since 1970, or how long ago, such as 2h or 1d",
		errInvalid, name, text)
}

// lastMilli is the end of the year 9999, the last that RFC 3339 can say.
const lastMilli = 253402300799999

func parsePosition(name, text string) (bus.Position, error) {
	at, err := bus.ParsePosition(text)
	if err != nil {
		return at, fmt.Errorf("%w: %s is no position: take it from next, position or event_position of an answer: %w", errInvalid, name, err)
	}
	return at, nil
}

func checkTopic(name, topic string) error {
	if err := bus.ValidTopic(topic); err != nil {
		return fmt.Errorf("%w: %s: %w", errInvalid, name, err)
	}
	return nil
}

func checkPattern(topic string) error {
	if err := bus.ValidPattern(topic); err != nil {
		return fmt.Errorf("%w: topic: %w", errInvalid, err)
	}
	return nil
}
