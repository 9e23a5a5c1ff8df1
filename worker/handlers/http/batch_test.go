package http

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// batchEnds collects how the events of a subscription ended first, and why.
type batchEnds struct {
	mu    sync.Mutex
	first map[string]consumer.Observation
	want  int
	over  chan struct{}
}

// Observe implements consumer.Observer.
func (e *batchEnds) Observe(o consumer.Observation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.first[o.Key.ID]; known {
		return
	}
	if e.first[o.Key.ID] = o; len(e.first) == e.want {
		close(e.over)
	}
}

// postBatch posts these events in one batch to a service, and returns how each ended first.
func postBatch(t *testing.T, o *Options, service http.HandlerFunc, es ...bus.Event) map[string]consumer.Observation {
	t.Helper()
	b, err := membus.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := memdedupe.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range es {
		es[i].Topic = "t"
	}
	if _, err := b.Publish(t.Context(), es...); err != nil {
		t.Fatal(err)
	}
	h := newHTTP(t, serve(t, service), o)
	ends := &batchEnds{first: map[string]consumer.Observation{}, want: len(es), over: make(chan struct{})}
	sub, err := consumer.SubscribeExactlyOnce(t.Context(), b, "t", "billing", store, consumer.Batch(h.HandleBatch, &consumer.BatchOptions{Size: len(es), Wait: time.Minute}),
		&consumer.Options{Concurrency: len(es), Observer: ends, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	<-ends.over
	if err := sub.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	return maps.Clone(ends.first)
}

// numbered are events with the ids 0, 1 and so on.
func numbered(n int) []bus.Event {
	out := make([]bus.Event, n)
	for i := range out {
		out[i] = bus.Event{ID: fmt.Sprint(i), Data: []byte(`{"cents":5}`)}
	}
	return out
}

// A batch is CloudEvents in batch content mode: an array of events in JSON, in the stream's order,
// each with its own idempotency key.
func TestBatchIsCloudEventsInBatchContentMode(t *testing.T) {
	t.Parallel()
	var got []map[string]any
	var headers http.Header
	ends := postBatch(t, &Options{Headers: http.Header{"X-Api-Key": {"secret"}}}, func(_ http.ResponseWriter, r *http.Request) {
		headers = r.Header
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
	},
		bus.Event{
			ID: "a", Data: []byte(`{"cents":5}`), Key: "ada", Type: "placed", Source: "shop", ContentType: "application/json", Time: time.Unix(0, 0),
			Headers: bus.Headers{"traceparent": {"00-1"}, "ce-tenant": {"acme"}, "ce-data": {"evil"}, "ce-id": {"evil"}, "X-Other": {"no"}},
		},
		bus.Event{ID: "b", Data: []byte("plain"), ContentType: "text/plain"},
		bus.Event{ID: "c"},
		bus.Event{ID: "d", Data: []byte("no JSON")},
	)
	for id, o := range ends {
		if o.Outcome != consumer.OutcomeHandled {
			t.Errorf("event %s ended as %s: %v", id, o.Outcome, o.Err)
		}
	}
	if got, want := headers.Get("Content-Type"), "application/cloudevents-batch+json; charset=utf-8"; got != want {
		t.Errorf("the content type is %q, want %q", got, want)
	}
	if headers.Get("X-Api-Key") != "secret" || headers.Get("Onceish-Group") != "billing" || headers.Get("Idempotency-Key") != "" {
		t.Errorf("headers: %v", headers)
	}
	keys := map[any]bool{}
	for _, e := range got {
		keys[e["idempotencykey"]] = true
		delete(e, "idempotencykey")
	}
	if len(keys) != 4 || keys[nil] {
		t.Errorf("the idempotency keys are %v", keys)
	}
	want := []map[string]any{
		{
			"specversion": "1.0", "id": "a", "source": "shop", "type": "placed", "time": "1970-01-01T00:00:00Z", "partitionkey": "ada", "datacontenttype": "application/json",
			"traceparent": "00-1", "tenant": "acme", "onceishtopic": "t", "onceishattempt": 1.0, "data": map[string]any{"cents": 5.0},
		},
		{"specversion": "1.0", "id": "b", "source": "onceish", "type": "t", "datacontenttype": "text/plain", "onceishtopic": "t", "onceishattempt": 1.0, "data_base64": "cGxhaW4="},
		{"specversion": "1.0", "id": "c", "source": "onceish", "type": "t", "onceishtopic": "t", "onceishattempt": 1.0},
		{"specversion": "1.0", "id": "d", "source": "onceish", "type": "t", "onceishtopic": "t", "onceishattempt": 1.0, "data_base64": "bm8gSlNPTg=="},
	}
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("the body is\n%s\nwant\n%s", g, w)
	}
}

// Each event has the result that the answer gives it, by its id, in any order.
func TestAnswerToABatchHasAResultForEachEvent(t *testing.T) {
	t.Parallel()
	ends := postBatch(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `[
			{"id":"7","status":"permanent","error":"no such customer"},
			{"id":"0","status":200}, {"id":"1","status":422,"error":"bad"}, {"id":"2","status":500},
			{"id":"3","status":429,"retry_after":1}, {"id":"4","status":503}, {"id":"5","status":"done"}, {"id":"6","status":42}]`)
	}, numbered(9)...)
	for id, want := range map[string]struct {
		outcome consumer.Outcome
		text    string
	}{
		"0": {consumer.OutcomeHandled, ""},
		"1": {consumer.OutcomeDead, "422: bad"},
		"2": {consumer.OutcomeFailed, "500"},
		"3": {consumer.OutcomeDeferred, "429"},
		"4": {consumer.OutcomeDeferred, "503"},
		"5": {consumer.OutcomeHandled, ""},
		"6": {consumer.OutcomeFailed, "the result of the event has the status \"42\""},
		"7": {consumer.OutcomeDead, "no such customer"},
		"8": {consumer.OutcomeFailed, "8 results for 9 events, and none for this one"},
	} {
		if got := ends[id]; got.Outcome != want.outcome || want.text != "" && !strings.Contains(fmt.Sprint(got.Err), want.text) {
			t.Errorf("event %s ended as %s (%v), want %s (%s)", id, got.Outcome, got.Err, want.outcome, want.text)
		}
	}
}

// An answer without results says by its status what became of all: a success, trouble that is
// everybody's, or a failure that is found among the events one by one.
func TestAnswerToABatchAsAWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer   func(w http.ResponseWriter, events int)
		outcome  consumer.Outcome
		requests int
	}{
		"no content":  {func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusNoContent) }, consumer.OutcomeHandled, 1},
		"some text":   {func(w http.ResponseWriter, _ int) { _, _ = io.WriteString(w, "OK") }, consumer.OutcomeHandled, 1},
		"throttled":   {func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusTooManyRequests) }, consumer.OutcomeDeferred, 1},
		"unavailable": {func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusBadGateway) }, consumer.OutcomeDeferred, 1},
		"too large": {func(w http.ResponseWriter, events int) {
			if events > 1 {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			}
		}, consumer.OutcomeHandled, 4},
		"multi-status": {func(w http.ResponseWriter, _ int) {
			w.WriteHeader(http.StatusMultiStatus)
			_, _ = io.WriteString(w, `<multistatus/>`)
		}, consumer.OutcomeFailed, 4},
		"an error":      {func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusInternalServerError) }, consumer.OutcomeFailed, 4},
		"an object":     {func(w http.ResponseWriter, _ int) { _, _ = io.WriteString(w, `{"ok":true}`) }, consumer.OutcomeFailed, 4},
		"another event": {func(w http.ResponseWriter, _ int) { _, _ = io.WriteString(w, `[{"id":"x","status":200}]`) }, consumer.OutcomeFailed, 4},
		"one twice": {func(w http.ResponseWriter, _ int) {
			_, _ = io.WriteString(w, `[{"id":"0","status":200},{"id":"0","status":200}]`)
		}, consumer.OutcomeFailed, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var requests []int
			ends := postBatch(t, nil, func(w http.ResponseWriter, r *http.Request) {
				var es []json.RawMessage
				if err := json.NewDecoder(r.Body).Decode(&es); err != nil {
					t.Error(err)
				}
				mu.Lock()
				requests = append(requests, len(es))
				mu.Unlock()
				c.answer(w, len(es))
			}, numbered(3)...)
			for id, o := range ends {
				if o.Outcome != c.outcome {
					t.Errorf("event %s ended as %s (%v), want %s", id, o.Outcome, o.Err, c.outcome)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if len(requests) < c.requests || requests[0] != 3 || c.requests == 4 && !slices.Equal(requests[1:4], []int{1, 1, 1}) {
				t.Errorf("requests with %v events, want %d at first", requests, c.requests)
			}
		})
	}
}

// A batch is signed as a whole.
func TestBatchIsSigned(t *testing.T) {
	t.Parallel()
	secret := "whsec_" + strings.Repeat("A", 32)
	ends := postBatch(t, &Options{SigningSecrets: []string{secret}}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s := newSigner([]string{secret})
		if got := r.Header.Get(headerWebhookSignature); got != s.signatures(r.Header.Get(headerWebhookID), r.Header.Get(headerWebhookTimestamp), body) {
			w.WriteHeader(http.StatusBadRequest)
		}
	}, numbered(3)...)
	for id, o := range ends {
		if o.Outcome != consumer.OutcomeHandled {
			t.Errorf("event %s ended as %s: %v", id, o.Outcome, o.Err)
		}
	}
}
