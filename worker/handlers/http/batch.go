package http

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// batchContentType is that of a request with a batch.
const batchContentType = "application/cloudevents-batch+json; charset=utf-8"

// HandleBatch is a consumer.BatchHandler. It sends one request for all events, in batch content
// mode; see the package.
func (h *Handler) HandleBatch(ctx context.Context, es []bus.Event) []error {
	attempts := consumer.BatchAttempts(ctx)
	if len(attempts) != len(es) {
		return consumer.FailBatch(consumer.ErrNoAttempt)
	}
	b := newBatchBody(h, es, attempts)
	if len(b.sent) == 0 {
		return b.results
	}
	body, header, err := b.request(time.Now())
	if err != nil {
		return consumer.FailBatch(consumer.Permanent(err))
	}
	limited, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	res, err := h.send.RoundTrip(h.newRequest(limited, header, body))
	if err != nil {
		return consumer.FailBatch(h.unansweredError(ctx, limited, err))
	}
	if !h.isDone(res) {
		return b.failSent(h.classifyResponse(ctx, res, readBody(res, cancel), b.attempt()))
	}
	answer, err := readBatchAnswer(res)
	if err == nil && answer == nil && h.needsResults(res) {
		err = fmt.Errorf("%w, and its status is 207, which leaves it to them what became of the events", errNoResults)
	}
	if err != nil {
		return consumer.FailBatch(h.brokenAnswerError(ctx, limited, err))
	}
	return b.classify(ctx, answer)
}

// isDone reports whether the status says that the batch as a whole was taken.
func (h *Handler) isDone(res *http.Response) bool {
	is, configured := h.statuses[res.StatusCode]
	return configured && is == Done || !configured && isSuccess(res.StatusCode)
}

// needsResults reports whether the status alone does not say that all is done: 207 (Multi-Status),
// unless it is configured to.
func (h *Handler) needsResults(res *http.Response) bool {
	_, configured := h.statuses[res.StatusCode]
	return res.StatusCode == http.StatusMultiStatus && !configured
}

// brokenAnswerError is the error of an answer that did not arrive as a whole.
func (h *Handler) brokenAnswerError(ctx, limited context.Context, err error) error {
	if errors.Is(err, errNoResults) {
		return fmt.Errorf("POST %s: %w", h.origin, err)
	}
	return h.unansweredError(ctx, limited, err)
}

// batchBody is what is sent of a batch, and what becomes of its events.
type batchBody struct {
	handler  *Handler
	events   []bus.Event
	attempts []consumer.Attempt
	results  []error
	sent     []int // indexes of the events that are in the request
	lines    [][]byte
}

// newBatchBody encodes the events. One that cannot be sent has its result.
func newBatchBody(h *Handler, es []bus.Event, attempts []consumer.Attempt) *batchBody {
	b := &batchBody{handler: h, events: es, attempts: attempts, results: make([]error, len(es))}
	for i := range es {
		line, err := encodeCloudEvent(&es[i], &attempts[i])
		if err != nil {
			b.results[i] = consumer.Permanent(err)
			continue
		}
		b.sent, b.lines = append(b.sent, i), append(b.lines, line)
	}
	return b
}

// request returns the body and the headers of the request.
func (b *batchBody) request(now time.Time) ([]byte, http.Header, error) {
	body := []byte{'['}
	for i, line := range b.lines {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, line...)
	}
	body = append(body, ']')
	header := make(http.Header, len(b.handler.header)+5)
	w := headerWriter{header: header, values: make([]string, 0, 5)}
	w.setHeader("Content-Type", batchContentType)
	w.setEncoded(bus.HeaderGroup, b.handler.group)
	if s := b.handler.signer; s != nil {
		s.setSignature(&w, b.id(), now, body)
	}
	maps.Copy(header, b.handler.header)
	return body, header, w.err
}

// id names the batch in its signature: it is the same for the same events.
func (b *batchBody) id() string {
	digest := sha256.New()
	for _, i := range b.sent {
		digest.Write([]byte(b.attempts[i].IdempotencyKey))
		digest.Write([]byte{0})
	}
	return hex.EncodeToString(digest.Sum(nil)[:16])
}

// attempt is the largest number of an attempt.
func (b *batchBody) attempt() int {
	most := 1
	for _, i := range b.sent {
		most = max(most, b.attempts[i].Number)
	}
	return most
}

// failSent returns the results of a batch that was refused as a whole. What was not sent keeps its
// own.
func (b *batchBody) failSent(err error) []error {
	if len(b.sent) == len(b.events) {
		return consumer.FailBatch(err)
	}
	for _, i := range b.sent {
		b.results[i] = consumer.FailBatch(err)[0]
	}
	return b.results
}

// classify makes results of the items of an answer.
func (b *batchBody) classify(ctx context.Context, items []batchItem) []error {
	if items == nil {
		return b.results // all done
	}
	waiting := make(map[int]bool, len(b.sent))
	for _, i := range b.sent {
		waiting[i] = true
	}
	for n := range items {
		i, ok := b.find(&items[n], waiting)
		if !ok {
			return consumer.FailBatch(fmt.Errorf("POST %s: the answer has a result for %.64q, which was not in the batch, or a second one", b.handler.origin, items[n].ID))
		}
		delete(waiting, i)
		b.results[i] = b.handler.classifyItem(ctx, &items[n], b.attempts[i].Number)
	}
	for i := range waiting {
		b.results[i] = fmt.Errorf("POST %s: the answer has %d results for %d events, and none for this one", b.handler.origin, len(items), len(b.sent))
	}
	return b.results
}

// find returns the index of the event that an item is about, of those without a result. Only where
// two events have one id does the source matter.
func (b *batchBody) find(item *batchItem, waiting map[int]bool) (int, bool) {
	for _, i := range b.sent {
		if waiting[i] && b.events[i].ID == item.ID && (item.Source == "" || item.Source == sourceOf(&b.events[i])) {
			return i, true
		}
	}
	return 0, false
}
