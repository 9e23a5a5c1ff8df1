package deadletter_test

import (
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/deadletter"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// storedLetter is a dead letter as a consumer publishes it.
func storedLetter(i int) bus.Event {
	id := strconv.Itoa(i)
	e := bus.Event{ID: "billing/orders@1/" + id + "/1", Topic: "dead.billing", Data: fmt.Appendf(make([]byte, 240), "letter %s;", id), Headers: bus.Headers{}}
	for name, value := range map[string]string{
		"Letter": e.ID, "Group": "billing", "Topic": "order.placed", "Id": id, "Source": "", "Type": "placed", "Stream": "orders@1", "Sequence": id,
		"Stored": "2026-01-02T03:04:05Z", "Attempts": "10", "Crashes": "0", "Claimed": "2026-01-02T03:04:05Z", "Died": "2026-01-02T03:05:05Z",
		"Reason": "failed 10 times: no rate for " + id, "Error": "no rate for " + id, "Stack": "", "Parts": "0", "Digest": "",
	} {
		e.Headers.Set("Onceish-Dead-"+name, url.PathEscape(value))
	}
	return e.WithControl(bus.Control{Letter: e.ID})
}

func publishAll(b *testing.B, to bus.Publisher, n int, event func(int) bus.Event) time.Duration {
	b.Helper()
	start := time.Now()
	for i := 0; i < n; i += 64 {
		var batch []bus.Event
		for j := i; j < min(i+64, n); j++ {
			batch = append(batch, event(j+1))
		}
		if _, err := to.Publish(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start)
}

// BenchmarkFilteredFirstPage lists the first page of 100,000 letters of which the last one alone is
// selected, by each kind of filter.
func BenchmarkFilteredFirstPage(b *testing.B) {
	const letters = 100_000
	jsBus, topic, _ := benchTopic(b)
	publishAll(b, jsBus, letters, storedLetter)
	for name, f := range map[string]deadletter.Filter{
		"error": {Error: "no rate for 100000"},
		"id":    {ID: "100000"},
		"data":  {Data: "letter 100000;"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var page []deadletter.Letter
				for l, err := range topic.List(b.Context(), f, bus.Position{}) {
					if err != nil {
						b.Fatal(err)
					}
					page = append(page, l)
				}
				if err := topic.FindEdits(b.Context(), page); err != nil || len(page) != 1 {
					b.Fatalf("%d letters, %v; want one", len(page), err)
				}
			}
			b.ReportMetric(float64(b.N)*letters/b.Elapsed().Seconds(), "letters/s")
		})
	}
}

// BenchmarkRedrive redrives 10,000 letters over JetStream with marks in a bucket, beside publishing
// as many events.
func BenchmarkRedrive(b *testing.B) {
	const letters = 10_000
	jsBus, topic, store := benchTopic(b)
	for first := 0; b.Loop(); first += letters { // The stream remembers ids.
		publishAll(b, jsBus, letters, func(i int) bus.Event { return storedLetter(first + i) })
		published := publishAll(b, jsBus, letters, func(i int) bus.Event {
			return bus.Event{ID: strconv.Itoa(first + i), Topic: "order.other", Data: make([]byte, 256)}
		})
		start := time.Now()
		n, err := topic.RedriveAll(b.Context(), store, deadletter.Filter{}, nil)
		took := time.Since(start)
		if err != nil || n.Done != letters {
			b.Fatalf("%+v, %v", n, err)
		}
		b.ReportMetric(letters/took.Seconds(), "redriven/s")
		b.ReportMetric(published.Seconds()/took.Seconds(), "ratio")
	}
}

// benchTopic is a dead-letter topic on JetStream, and a store in a bucket.
func benchTopic(b *testing.B) (*natsbus.Bus, *deadletter.Topic, *kvdedupe.Store) {
	b.Helper()
	nc := natstest.Start(b, nil).Connect(b)
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	for stream, subject := range map[string]string{"ORDERS": "order.>", "DEAD": "dead.>"} {
		if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: stream, Subjects: []string{subject}}); err != nil {
			b.Fatal(err)
		}
	}
	store, err := kvdedupe.New(b.Context(), nc, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	jsBus, err := natsbus.New(nc, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(jsBus.Close)
	topic, err := deadletter.OpenTopic(jsBus, "dead.billing")
	if err != nil {
		b.Fatal(err)
	}
	return jsBus, topic, store
}
