package config

import (
	"strconv"
	"time"

	"github.com/onceish/onceish/consumer"
)

// Batch has a handler get several events at once.
type Batch struct {
	Size int
	// Wait is how long a batch waits for more events, from its first one.
	Wait time.Duration
	// Bytes bounds the data of a batch.
	Bytes int64
}

// Options returns those of a consumer.Batch.
func (b *Batch) Options() *consumer.BatchOptions {
	return &consumer.BatchOptions{Size: b.Size, Wait: b.Wait, Bytes: int(b.Bytes)}
}

// Batch returns the batches of the handler, and the key that says so below it; nil if it gets
// events one by one.
func (h *Handler) Batch() (b *Batch, key string) {
	switch {
	case h.Exec != nil:
		return h.Exec.Batch, "exec.batch"
	case h.HTTP != nil:
		return h.HTTP.Batch, "http.batch"
	case h.Project != nil:
		return h.Project.Batch, "project.batch"
	}
	return nil, ""
}

// batchField is the same for each handler that takes batches. The bounds are those of
// consumer.BatchOptions.
func batchField[S any](meaning string, at func(*S) **Batch) *optionalMapping[S, Batch] {
	limits := consumer.BatchLimits()
	return optionalField("batch", meaning, at,
		intField("size", func(b *Batch) *int { return &b.Size }, limits.Size).withDefault(consumer.DefaultBatchSize).
			describedAs("how many events a batch has at most; concurrency must be at least as much, for each of them holds a slot"),
		durationField("wait", func(b *Batch) *time.Duration { return &b.Wait }, limits.Wait).withDefault(consumer.DefaultBatchWait).
			describedAs("how long a batch waits for more events, from its first one; it counts as a part of the run"),
		sizeField("bytes", func(b *Batch) *int64 { return &b.Bytes }, int64(limits.Bytes.Max)).withDefault(consumer.DefaultBatchBytes).
			describedAs("how much data a batch has at most; an event with more makes one of its own"))
}

// checkBatch refuses batches that could never be full, or that their handler cannot have. Handlers
// that take batches are refused in mode transactional anyway.
func (s *Subscription) checkBatch(r *configReader, at string) {
	b, key := s.Handler.Batch()
	if b == nil {
		return
	}
	path := at + ".handler." + key
	size, wait, concurrency, runLimit := path+".size", path+".wait", at+".concurrency", at+".run_limit"
	if p, ok := r.firstGiven(size, concurrency, path); ok && b.Size > s.Concurrency.Max {
		r.reportMistake(p, "%s is %s, and %s %s: each event of a batch holds a slot, so raise %s to %d or more, or lower %s",
			r.shownName(size), r.shownValue(size, strconv.Itoa(b.Size)), r.shownName(concurrency), r.shownValue(concurrency, strconv.Itoa(s.Concurrency.Max)),
			r.shownName(concurrency), b.Size, r.shownName(size))
	}
	if p, ok := r.firstGiven(wait, runLimit, path); ok && b.Wait >= s.RunLimit {
		r.reportMistake(p, "%s is %s: it must be shorter than %s, %s, in which a batch is collected",
			r.shownName(wait), r.shownDuration(wait, b.Wait), r.shownName(runLimit), r.shownDuration(runLimit, s.RunLimit))
	}
	if s.Handler.Exec != nil && s.Handler.Exec.Mode != "stream" {
		r.reportMistake(path, "it needs mode: stream: a process for each event gets one event")
	}
	if s.Handler.HTTP != nil {
		s.Handler.HTTP.checkBatch(r, path)
	}
}

// checkBatch refuses what a request with a batch cannot have.
func (h *HTTPHandler) checkBatch(r *configReader, path string) {
	if len(h.PassHeaders) > 0 {
		r.reportMistake(path, "it cannot be beside pass_headers: a request with a batch has no headers of one event")
	}
	if p := h.PerHost; p != nil && p.Concurrency > 0 && p.Concurrency < h.Batch.Size {
		r.reportMistake(path, "its size is %d, and per_host.concurrency %d: each event of a batch counts there, so raise per_host.concurrency to %d or more, or lower the size",
			h.Batch.Size, p.Concurrency, h.Batch.Size)
	}
}
