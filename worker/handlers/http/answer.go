package http

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
	"github.com/onceish/onceish/internal/backoff"
)

const (
	// maxResponseBytes is how much is read of an answer's headers, and of its body.
	maxResponseBytes = 64 << 10
	// maxShownBytes is how much of a body is shown.
	maxShownBytes = 1 << 10
	// maxRetryAfter bounds what a service may ask for.
	maxRetryAfter = time.Hour
	// goneRetry is after how long an event is retried whose endpoint is gone, where nothing
	// stops the subscription.
	goneRetry = 5 * time.Minute
)

// readBody reads an answer's body, so that the connection can be used again, for as long as that
// is worth it, and returns what of it may be shown. cancel ends the request.
func readBody(res *http.Response, cancel context.CancelFunc) (shown []byte) {
	defer res.Body.Close() //nolint:errcheck // of no interest: the status has said it
	if res.Body == http.NoBody || res.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	enough := time.AfterFunc(httpBodyWait, cancel)
	defer enough.Stop()
	body := io.LimitReader(res.Body, maxResponseBytes)
	if isSuccess(res.StatusCode) {
		_, _ = io.Copy(io.Discard, body) // the status has said it
		return nil
	}
	shown, _ = io.ReadAll(body) // what there is will do
	return shown
}

func isSuccess(status int) bool { return status >= 200 && status <= 299 }

// classifyResponse makes a verdict of an answer.
func (h *Handler) classifyResponse(ctx context.Context, res *http.Response, body []byte, attempt int) error {
	after, asksToWait := parseRetryAfter(res.Header, time.Now())
	is, configured := h.statuses[res.StatusCode]
	if !configured {
		is = meaningOfStatus(res.StatusCode, asksToWait)
	}
	if is == Done {
		return nil
	}
	return h.verdict(ctx, h.responseError(res, body), is, after, asksToWait, attempt)
}

// verdict is what a meaning that is not Done says about an event.
func (h *Handler) verdict(ctx context.Context, err error, is Meaning, after time.Duration, asksToWait bool, attempt int) error {
	later := err
	if asksToWait {
		later = consumer.RetryAfter(max(after, minRetryWait(attempt)), err)
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
	case Gone:
		return h.classifyGone(ctx, err)
	case Done, Retry:
	}
	return later
}

// responseError says how a request was answered.
func (h *Handler) responseError(res *http.Response, body []byte) error {
	text := fmt.Sprintf("POST %s: %d %s", h.origin, res.StatusCode, http.StatusText(res.StatusCode))
	if res.StatusCode >= 300 && res.StatusCode <= 399 {
		return errors.New(text + h.redirectAdvice(res))
	}
	if said := h.secrets.cleanText(string(body), maxShownBytes); said != "" {
		text += ": " + said
	}
	return errors.New(strings.TrimSpace(text))
}

// redirectAdvice says where an answer points.
func (h *Handler) redirectAdvice(res *http.Response) string {
	location := res.Header.Get("Location")
	to, err := h.endpoint.Parse(location)
	if location == "" || err != nil || to.Host == "" {
		return ": redirects are not followed"
	}
	return ": redirects are not followed: if it moved for good, set the URL to " +
		h.secrets.cleanText(to.Scheme+"://"+to.Host+to.EscapedPath(), maxShownBytes)
}

// parseRetryAfter is what a service asks for, seconds or a date, up to maxRetryAfter. What cannot
// be read, or is over, is not asked for.
func parseRetryAfter(header http.Header, now time.Time) (time.Duration, bool) {
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

// minRetryWait is 1 s, doubling with each attempt up to 5 min: a service that is down for long, and
// says "in a second" each time, must not use up an event's attempts in seconds.
func minRetryWait(attempt int) time.Duration {
	return backoff.Doubled(time.Second, attempt-1, 5*time.Minute)
}
