package http

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/cloudevents"
)

// maxBatchAnswerBytes is how much is read of the answer to a batch.
const maxBatchAnswerBytes = 4 << 20

// batchItem is what an answer says of one event.
type batchItem struct {
	ID         string          `json:"id"`
	Source     string          `json:"source"`
	Status     json.RawMessage `json:"status"`
	Error      string          `json:"error"`
	RetryAfter json.RawMessage `json:"retry_after"`
}

var errNoResults = errors.New("the answer is no list of results")

// readBatchAnswer returns the results of an answer whose status is a success; nil if it has none,
// which says that all is done. A body that is neither JSON nor looks like it is none of results.
func readBatchAnswer(res *http.Response) ([]batchItem, error) {
	defer res.Body.Close() //nolint:errcheck // what counts was read
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBatchAnswerBytes+1))
	if err != nil {
		return nil, err
	}
	text := bytes.TrimSpace(body)
	isJSON := cloudevents.IsJSON(res.Header.Get("Content-Type")) || bytes.HasPrefix(text, []byte("[")) || bytes.HasPrefix(text, []byte("{"))
	switch {
	case len(text) == 0 || !isJSON:
		return nil, nil
	case len(body) > maxBatchAnswerBytes:
		return nil, fmt.Errorf("%w: it is longer than %d bytes", errNoResults, maxBatchAnswerBytes)
	}
	items := []batchItem{}
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, fmt.Errorf(`%w, such as [{"id":"1","status":200}]: %w`, errNoResults, err)
	}
	return items, nil
}

// classifyItem makes a verdict of a result: its status is one of HTTP, with the meaning that it has
// for a single event, or a Meaning by name.
func (h *Handler) classifyItem(ctx context.Context, item *batchItem, attempt int) error {
	status, meaning, err := item.parseStatus()
	if err != nil {
		return fmt.Errorf("POST %s: %w", h.origin, err)
	}
	after, asksToWait := item.parseRetryAfter()
	if meaning == "" {
		var configured bool
		if meaning, configured = h.statuses[status]; !configured {
			meaning = meaningOfStatus(status, asksToWait)
		}
	}
	if meaning == Done {
		return nil
	}
	said := h.secrets.cleanText(item.Error, maxShownBytes)
	failed := errors.New(strings.TrimSuffix(fmt.Sprintf("POST %s: %s: %s", h.origin, item.Status, said), ": "))
	return h.verdict(ctx, failed, meaning, after, asksToWait, attempt)
}

// parseStatus returns the status of a result as a number, or as a Meaning.
func (i *batchItem) parseStatus() (status int, meaning Meaning, err error) {
	if json.Unmarshal(i.Status, &status) == nil && status >= 200 && status <= 599 {
		return status, "", nil
	}
	if json.Unmarshal(i.Status, &meaning) == nil && slices.Contains(Meanings(), meaning) {
		return 0, meaning, nil
	}
	return 0, "", fmt.Errorf("the result of the event has the status %.64q: it must be from 200 to 599, or one of %q", i.Status, Meanings())
}

// parseRetryAfter reads a number of seconds, or a Go duration in a string. What cannot be read is
// not asked for.
func (i *batchItem) parseRetryAfter() (time.Duration, bool) {
	var seconds float64
	if json.Unmarshal(i.RetryAfter, &seconds) == nil {
		return min(time.Duration(min(seconds, maxRetryAfter.Seconds())*float64(time.Second)), maxRetryAfter), seconds > 0
	}
	var text string
	if json.Unmarshal(i.RetryAfter, &text) != nil {
		return 0, false
	}
	d, err := time.ParseDuration(text)
	return min(d, maxRetryAfter), err == nil && d > 0
}

func sourceOf(e *bus.Event) string { return cloudevents.SourceOf(e) }

// Extension attributes of an event in a batch, beside those that it has itself.
const (
	extensionIdempotencyKey = "idempotencykey"
	extensionTopic          = "onceishtopic"
	extensionAttempt        = "onceishattempt"
)

// encodeCloudEvent returns an event in the JSON format of CloudEvents. Data that is JSON, by its
// type or for want of one, is a part of it; other data is base64.
func encodeCloudEvent(e *bus.Event, a *consumer.Attempt) ([]byte, error) {
	out := map[string]any{
		cloudevents.SpecVersionName: cloudevents.SpecVersion, cloudevents.ID: e.ID,
		cloudevents.Source: sourceOf(e), cloudevents.Type: cloudevents.TypeOf(e),
		extensionIdempotencyKey: a.IdempotencyKey, extensionTopic: e.Topic, extensionAttempt: a.Number,
	}
	for name, value := range map[string]string{
		cloudevents.Time: cloudevents.TimeOf(e), cloudevents.PartitionKey: e.Key, cloudevents.DataContentType: e.ContentType,
	} {
		if value != "" {
			out[name] = value
		}
	}
	addExtensions(out, e.Headers)
	for name, value := range out {
		if text, ok := value.(string); ok && !utf8.ValidString(text) {
			return nil, fmt.Errorf("the event's %s is not UTF-8, and cannot be sent: %.64q", name, text)
		}
	}
	isJSON := cloudevents.IsJSON(cmp.Or(e.ContentType, "application/json"))
	switch {
	case len(e.Data) == 0:
	case isJSON && utf8.Valid(e.Data) && json.Valid(e.Data):
		out["data"] = json.RawMessage(e.Data)
	default:
		out["data_base64"] = e.Data
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(line.Bytes()), nil
}

// addExtensions adds the extension attributes among an event's headers, and its trace context.
func addExtensions(out map[string]any, headers bus.Headers) {
	for name, values := range headers {
		canonical := http.CanonicalHeaderKey(name)
		extension, ok := strings.CutPrefix(canonical, "Ce-")
		if canonical == "Traceparent" || canonical == "Tracestate" {
			extension, ok = canonical, true
		}
		extension = strings.ToLower(extension)
		if _, taken := out[extension]; !ok || taken || len(values) == 0 || strings.Trim(extension, "abcdefghijklmnopqrstuvwxyz0123456789") != "" ||
			cloudevents.IsAttribute(extension) || extension == "data" || !utf8.ValidString(values[0]) {
			continue
		}
		out[extension] = values[0]
	}
}
