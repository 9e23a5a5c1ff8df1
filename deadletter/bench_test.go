package deadletter_test

import (
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
	e := bus.Event{ID: "billing/orders@1/" + id + "/1", Topic: "dead.billing", Data: make([]byte, 256), Headers: bus.Headers{}}
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

// BenchmarkRedrive redrives 10,000 letters over JetStream with marks in a bucket, beside publishing
// as many events, and lists a page of 100,000 letters of which one is selected at the end.
func BenchmarkRedrive(b *testing.B) {
	const letters, listed = 10_000, 100_000
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
	defer func() { _ = store.Close() }()
	jsBus, err := natsbus.New(nc, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer jsBus.Close()
	topic, err := deadletter.OpenTopic(jsBus, "dead.billing")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		publishAll(b, jsBus, listed, storedLetter)
		start := time.Now()
		found := 0
		for _, err := range topic.List(b.Context(), deadletter.Filter{Error: "no rate for 100000"}, bus.Position{}) {
			if err != nil {
				b.Fatal(err)
			}
			found++
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/list")
		published := publishAll(b, jsBus, letters, func(i int) bus.Event {
			return bus.Event{ID: strconv.Itoa(i), Topic: "order.other", Data: make([]byte, 256)}
		})
		start = time.Now()
		n, err := topic.RedriveAll(b.Context(), store, deadletter.Filter{}, &deadletter.BulkOptions{Limit: letters})
		took := time.Since(start)
		if err != nil || n.Done != letters || found != 1 {
			b.Fatalf("found %d; %+v, %v", found, n, err)
		}
		b.ReportMetric(letters/took.Seconds(), "redriven/s")
		b.ReportMetric(published.Seconds()/took.Seconds(), "ratio")
	}
}
