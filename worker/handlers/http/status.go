package http

import (
	"fmt"
	"net/http"
	"slices"
)

// Meaning is what the status of an answer says about an event.
type Meaning string

// The meanings of a status.
const (
	// Done: the effect is made.
	Done Meaning = "done"
	// Retry: the event failed, which is an attempt.
	Retry Meaning = "retry"
	// Throttled: no attempt; see consumer.Throttled.
	Throttled Meaning = "throttled"
	// Unavailable: an attempt only if it is the event's own; see consumer.Unavailable.
	Unavailable Meaning = "unavailable"
	// Refused: as Unavailable, and if it is the event's own, it is never tried again.
	Refused Meaning = "refused"
	// Permanent: the event is never tried again.
	Permanent Meaning = "permanent"
	// Gone: the endpoint is gone for good; see Options.OnGone.
	Gone Meaning = "gone"
)

// Meanings are all there are.
func Meanings() []Meaning {
	return []Meaning{Done, Retry, Throttled, Unavailable, Refused, Permanent, Gone}
}

func checkStatuses(statuses map[int]Meaning) error {
	for status, meaning := range statuses {
		switch {
		case status < 200 || status > 599:
			return fmt.Errorf("Options.Statuses has %d: it must be from 200 to 599", status)
		case !slices.Contains(Meanings(), meaning):
			return fmt.Errorf("Options.Statuses has %q for %d: it must be one of %q", meaning, status, Meanings())
		}
	}
	return nil
}

// meaningOfStatus is what a status says, where it is not configured. asksToWait: there is
// a Retry-After.
func meaningOfStatus(status int, asksToWait bool) Meaning {
	switch status {
	case http.StatusTooManyRequests:
		return Throttled
	case http.StatusServiceUnavailable:
		if asksToWait {
			return Throttled
		}
		return Unavailable
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		return Refused // a wrong key or path is the same for every event
	case http.StatusGone:
		return Gone
	case http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusBadGateway, http.StatusGatewayTimeout:
		return Unavailable
	case http.StatusConflict, http.StatusTooEarly:
		return Retry
	}
	switch {
	case isSuccess(status):
		return Done
	case status >= 400 && status <= 499:
		return Permanent
	case status >= 520 && status <= 530: // what proxies of content networks say of the service behind them
		return Unavailable
	case status >= 500 && status <= 599:
		return Retry
	}
	return Unavailable // a redirect, or no HTTP service at all
}
