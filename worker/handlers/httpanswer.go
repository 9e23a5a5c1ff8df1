package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/consumer"
)

const (
	// maxAnswer is how much is read of an answer's headers, and of its body.
	maxAnswer = 64 << 10
	// maxShown is how much of a body is shown.
	maxShown = 1 << 10
	// maxRetryAfter bounds what a service may ask for.
	maxRetryAfter = time.Hour
)

// answerBody reads an answer's body, so that the connection can be used again, for as long as that
// is worth it, and returns what of it may be shown. cancel ends the request.
func answerBody(res *http.Response, cancel context.CancelFunc) (shown []byte) {
	defer res.Body.Close() //nolint:errcheck // of no interest: the status has said it
	if res.Body == http.NoBody || res.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	enough := time.AfterFunc(httpBodyWait, cancel)
	defer enough.Stop()
	body := io.LimitReader(res.Body, maxAnswer)
	if done(res.StatusCode) {
		_, _ = io.Copy(io.Discard, body) // the status has said it
		return nil
	}
	shown, _ = io.ReadAll(body) // what there is will do
	return shown
}

func done(status int) bool { return status >= 200 && status <= 299 }

// judge makes a verdict of an answer.
func (h *HTTP) judge(res *http.Response, body []byte, attempt int) error {
	after, asksToWait := retryAfter(res.Header, time.Now())
	is, configured := h.statuses[res.StatusCode]
	if !configured {
		is = meaning(res.StatusCode, asksToWait)
	}
	if is == Done {
		return nil
	}
	err := h.refused(res, body)
	later := err
	if asksToWait {
		later = consumer.RetryAfter(max(after, leastWait(attempt)), err)
	}
	switch is {
	case Throttled:
		return consumer.Throttled(after, err)
	case Unavailable:
		return consumer.Unavailable(later)
	case Refused:
		return consumer.Unavailable(consumer.Permanent(err))
	case Permanent:
		return consumer.Permanent(err)
	case Done, Retry:
	}
	return later
}

// refused says how a request was answered.
func (h *HTTP) refused(res *http.Response, body []byte) error {
	text := fmt.Sprintf("POST %s: %d %s", h.origin, res.StatusCode, http.StatusText(res.StatusCode))
	if res.StatusCode >= 300 && res.StatusCode <= 399 {
		return errors.New(text + h.redirect(res))
	}
	if said := h.secrets.clean(string(body), maxShown); said != "" {
		text += ": " + said
	}
	return errors.New(strings.TrimSpace(text))
}

// redirect says where an answer points.
func (h *HTTP) redirect(res *http.Response) string {
	location := res.Header.Get("Location")
	to, err := h.endpoint.Parse(location)
	if location == "" || err != nil || to.Host == "" {
		return ": redirects are not followed"
	}
	return ": redirects are not followed: if it moved for good, set the URL to " +
		h.secrets.clean(to.Scheme+"://"+to.Host+to.EscapedPath(), maxShown)
}

// retryAfter is what a service asks for, seconds or a date, up to maxRetryAfter. What cannot be
// read, or is over, is not asked for.
func retryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return maxRetryAfter, true // more than that
		}
		return min(time.Duration(seconds)*time.Second, maxRetryAfter), seconds > 0
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date // the service's clock is the one that it reckons with
	}
	d := min(until.Sub(now), maxRetryAfter)
	return d, d > 0
}

// leastWait is 1 s, doubling with each attempt up to 5 min: a service that is down for long, and
// says "in a second" each time, must not use up an event's attempts in seconds.
func leastWait(attempt int) time.Duration {
	return min(time.Second<<min(max(attempt-1, 0), 10), 5*time.Minute)
}
