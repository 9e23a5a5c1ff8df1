package telemetry

import (
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/onceish/onceish/dedupe"
)

// maxRecentRuns bounds each of the two halves of recentRuns.
const maxRecentRuns = 10_000

// recentRuns remembers the span of the last run of events, for the next one to be linked to. It
// remembers at least the last maxRecentRuns of those that are sampled. The zero value is empty. Its
// methods are safe for concurrent use.
type recentRuns struct {
	mu    sync.Mutex
	newer map[dedupe.Key]trace.SpanContext
	older map[dedupe.Key]trace.SpanContext // what newer was before it was full
}

// remember keeps the span of a run, if it is sampled.
func (r *recentRuns) remember(k dedupe.Key, c trace.SpanContext) {
	if !c.IsSampled() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.newer == nil || len(r.newer) >= maxRecentRuns {
		r.newer, r.older = make(map[dedupe.Key]trace.SpanContext), r.newer
	}
	r.newer[k] = c
}

// last returns the span of the last run of an event; it is not valid if there is none.
func (r *recentRuns) last(k dedupe.Key) trace.SpanContext {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.newer[k]; ok {
		return c
	}
	return r.older[k]
}

// forget drops what is known of an event, which will not run any more.
func (r *recentRuns) forget(k dedupe.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.newer, k)
	delete(r.older, k)
}
