package export

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// BenchmarkScrape scrapes a worker with 50 subscriptions, each of which has had outcomes, attempts
// and calls of every kind, beside a worker that has one.
func BenchmarkScrape(b *testing.B) {
	one := scraped(b, 1)
	fifty, bytes := scraped(b, 50), 0
	var direct, used time.Duration
	for b.Loop() {
		before := processorTime(b)
		bytes = scrapeOnce(b, fifty)
		used += processorTime(b) - before
		b.StopTimer()
		begun := time.Now()
		scrapeOnce(b, one)
		direct += time.Since(begun)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/scrape")
	b.ReportMetric(float64(used.Microseconds())/float64(b.N)/1000, "processor-ms/scrape")
	b.ReportMetric(float64(b.Elapsed())/float64(direct), "x-of-one")
	b.ReportMetric(float64(bytes)/1024, "KiB")
}

// processorTime is what this process has used: on a loaded machine a scrape takes longer.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// scraped is what serves the metrics of a worker that runs until the benchmark has ended.
func scraped(b *testing.B, subscriptions int) http.Handler {
	b.Helper()
	r := newRig(b, inMemory(b), "127.0.0.1:0")
	for i := range subscriptions {
		topic := fmt.Sprintf("topic.%d", i)
		r.worker.Handle(topic, func(context.Context, bus.Event) error { return nil }, &consumer.Options{Concurrency: 1})
		o := r.exporter.metrics.Observer(topic, "billing")
		for _, outcome := range []consumer.Outcome{
			consumer.OutcomeHandled, consumer.OutcomeDuplicate, consumer.OutcomeFailed, consumer.OutcomeDead, consumer.OutcomeLost, consumer.OutcomeHeld,
		} {
			o.Observe(consumer.Observation{Outcome: outcome, Attempt: 1, Reason: "failed"})
			o.ObserveAnswer(bus.Position{}, nil)
		}
		for _, call := range []string{"claim", "settle", "extend", "seen", "watermarks"} {
			o.ObserveStoreCall(consumer.StoreCall{Operation: call, Items: 1})
		}
		o.ObserveFetch(consumer.Fetch{Events: 1})
		o.ObserveLimitWait(0, true)
	}
	r.run(b)
	return r.exporter.Handler()
}

func scrapeOnce(b *testing.B, metrics http.Handler) (bytes int) {
	b.Helper()
	w := &countingWriter{header: make(http.Header)}
	metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	if w.status != http.StatusOK {
		b.Fatal(w.status)
	}
	return w.bytes
}

// countingWriter takes an answer at no cost.
type countingWriter struct {
	header        http.Header
	status, bytes int
}

func (w *countingWriter) Header() http.Header { return w.header }

func (w *countingWriter) WriteHeader(status int) { w.status = status }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.bytes += len(p)
	return len(p), nil
}
