package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

// batchReceiver is a service that takes batches, and knows an idempotency key again. It dies once,
// after it has done the work of its first batch and before it answers. It refuses the event "bad".
type batchReceiver struct {
	mu       sync.Mutex
	requests [][]string       // ids
	effects  map[string]int   // by id
	keys     map[string]bool  // that are known
	attempts map[string][]int // by id
	problems []string
}

// batchedEvent is an event of a batch, as it arrives.
type batchedEvent struct {
	ID      string `json:"id"`
	Key     string `json:"idempotencykey"`
	Attempt int    `json:"onceishattempt"`
}

type batchedResult struct {
	ID     string `json:"id"`
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
}

// ServeHTTP implements http.Handler.
func (s *batchReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var events []batchedEvent
	err := json.NewDecoder(r.Body).Decode(&events)
	if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents-batch+json") {
		s.problems = append(s.problems, fmt.Sprint(r.Header.Get("Content-Type"), err))
	}
	ids, results := make([]string, len(events)), make([]batchedResult, len(events))
	for i, e := range events {
		ids[i], results[i] = e.ID, s.take(e)
	}
	s.requests = append(s.requests, ids)
	if len(s.requests) == 1 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(results); err != nil {
		s.problems = append(s.problems, err.Error())
	}
}

// take makes the effect of an event, unless it was made under its key before.
func (s *batchReceiver) take(e batchedEvent) batchedResult {
	s.attempts[e.ID] = append(s.attempts[e.ID], e.Attempt)
	if e.ID == "bad" {
		return batchedResult{e.ID, http.StatusInternalServerError, "no such customer"}
	}
	if !s.keys[e.Key] {
		s.effects[e.ID]++
	}
	s.keys[e.Key] = true
	return batchedResult{e.ID, http.StatusOK, ""}
}

// A worker posts batches to a receiver whose answers have a result for each event. An event that
// fails pays its own attempts alone. A receiver that dies after the work was done gets the events
// under the same keys, and no event pays for that.
func TestBatchesArePostedWithAResultForEachEvent(t *testing.T) {
	t.Parallel()
	const n, size = 40, 8
	receiver := &batchReceiver{effects: make(map[string]int), keys: make(map[string]bool), attempts: make(map[string][]int)}
	server := httptest.NewServer(receiver)
	defer server.Close()
	h := newHouse(t)
	h.start("serve")
	h.wait("data/nats.url")
	ids, lines := make([]string, n), ""
	for i := range n {
		if ids[i] = fmt.Sprint(i); i == 3 {
			ids[i] = "bad"
		}
		lines += fmt.Sprintf(`{"id":%q}`+"\n", ids[i])
	}
	for name, text := range map[string]string{"events.ndjson": lines, "worker.yaml": fmt.Sprintf(`group: g
subscriptions:
  - topic: t
    concurrency: %d
    attempts: 3
    backoff: {base: 10ms}
    handler: {http: {url: %s/rows, batch: {size: %d, wait: 1s}}}
`, size, server.URL, size)} {
		if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.output(0, "publish", "--provision", "-q", "t", "events.ndjson")
	h.output(4, "run", "-c", "worker.yaml", "--until-empty")

	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	if len(receiver.problems) > 0 {
		t.Errorf("the receiver had %q", receiver.problems)
	}
	if len(receiver.requests[0]) < 2 || len(receiver.requests) > n {
		t.Errorf("%d requests for %d events, the first with %q: want batches", len(receiver.requests), n, receiver.requests[0])
	}
	for _, id := range ids {
		wants, effects := 1, 1
		if id == "bad" {
			wants, effects = 3, 0
		}
		if receiver.effects[id] != effects {
			t.Errorf("event %s has %d effects, want %d", id, receiver.effects[id], effects)
		}
		if got := receiver.attempts[id]; len(got) == 0 || got[len(got)-1] != wants {
			t.Errorf("event %s was sent as attempts %v, want the last to be %d", id, got, wants)
		}
	}
	for _, id := range receiver.requests[0] {
		if len(receiver.attempts[id]) < 2 || receiver.attempts[id][1] != 1 {
			t.Errorf("event %s, whose receiver died, was sent as attempts %v, want twice the first", id, receiver.attempts[id])
		}
	}
	if out := h.output(0, "dlq", "list", "g"); strings.Count(out, "no such customer") != 1 || !strings.Contains(out, "bad") {
		t.Errorf("dead letters:\n%s\nwant that of bad alone", out)
	}
}
