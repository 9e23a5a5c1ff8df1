package exec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/onceish/onceish/consumer"
)

// streamAnswer is what a command of mode stream says about a delivery.
type streamAnswer struct {
	Delivery uint64          `json:"delivery"`
	Status   string          `json:"status"`
	Reason   json.RawMessage `json:"reason"`
	After    json.RawMessage `json:"after"`
}

const (
	statusDone        = "done"
	statusRetry       = "retry"
	statusThrottled   = "throttled"
	statusUnavailable = "unavailable"
	statusPermanent   = "permanent"
)

var statuses = []string{statusDone, statusRetry, statusThrottled, statusUnavailable, statusPermanent}

// parseAnswer says why a line is no answer, for people.
func parseAnswer(line []byte) (*streamAnswer, error) {
	var a streamAnswer
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	switch {
	case a.Delivery == 0:
		return nil, errors.New(`it has no "delivery"`)
	case !slices.Contains(statuses, a.Status):
		return nil, fmt.Errorf("its status is %.64q: it must be done, retry, throttled, unavailable or permanent", a.Status)
	}
	return &a, nil
}

// toVerdict is what the answer means to a subscription.
func (a *streamAnswer) toVerdict() error {
	if a.Status == statusDone {
		return nil
	}
	err := fmt.Errorf("the command answered %s", a.Status)
	if reason := a.reasonText(); reason != "" {
		err = fmt.Errorf("%w: %s", err, reason)
	}
	after, timed := time.Duration(0), len(a.After) > 0 && string(a.After) != "null"
	if timed && a.Status != statusPermanent {
		var bad error
		if after, bad = parseAfter(a.After); bad != nil {
			err, timed = fmt.Errorf("%w (%w: the usual backoff applies)", err, bad), false // what it wants is clear enough
		}
	}
	later := err
	if timed {
		later = consumer.RetryAfter(after, err)
	}
	switch a.Status {
	case statusPermanent:
		return consumer.Permanent(err)
	case statusThrottled:
		return consumer.Throttled(after, err)
	case statusUnavailable:
		return consumer.Unavailable(later)
	}
	return later
}

// reasonText is a string as it should be, and other JSON as it is written.
func (a *streamAnswer) reasonText() string {
	var text string
	if len(a.Reason) == 0 || json.Unmarshal(a.Reason, &text) == nil {
		return text
	}
	return string(a.Reason)
}

// parseAfter reads a Go duration in a string, or a number of seconds.
func parseAfter(value json.RawMessage) (time.Duration, error) {
	var text string
	if json.Unmarshal(value, &text) == nil {
		if d, err := time.ParseDuration(text); err == nil && d >= 0 {
			return d, nil
		}
	}
	var seconds float64
	if json.Unmarshal(value, &seconds) == nil && seconds >= 0 {
		if seconds >= math.MaxInt64/float64(time.Second) {
			return math.MaxInt64, nil
		}
		return time.Duration(seconds * float64(time.Second)), nil
	}
	return 0, fmt.Errorf(`its "after" is %.64s: it must be a duration such as "30s", or a number of seconds`, value)
}

// notAnAnswerError shows the beginning of a line that is no answer.
func notAnAnswerError(line []byte, why error) error {
	const shown = 100
	start := bytes.ToValidUTF8(line[:min(len(line), shown)], []byte("?"))
	return fmt.Errorf("its standard output is for answers only, and this line is none (%w): %q: let it write all else to standard error", why, start)
}
