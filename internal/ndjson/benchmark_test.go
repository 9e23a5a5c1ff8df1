package ndjson_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/ndjson"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
)

// BenchmarkPublish compares lines with asynchronous publishes of the same bytes under message ids,
// on a server in the same process. Each iteration publishes as many lines as the benchmark's name
// says, both ways, each time on a server that is new. The ratio is the median of the iterations',
// for other work on the machine strikes both halves of one alike:
//
//	go test ./worker/lines -run '^$' -bench Publish/1000000 -benchtime 5x
func BenchmarkPublish(b *testing.B) {
	for _, events := range []int{100_000, 1_000_000} {
		b.Run(strconv.Itoa(events), func(b *testing.B) { benchmark(b, events) })
	}
}

func benchmark(b *testing.B, events int) {
	b.Helper()
	var ours, raw []time.Duration
	for i := 0; b.Loop(); i++ {
		text := manyLines(i, events)
		halves := []func(){
			func() { ours = append(ours, publishLines(b, bytes.NewReader(text))) },
			func() { raw = append(raw, publishRaw(b, text)) },
		}
		if i%2 == 1 {
			slices.Reverse(halves)
		}
		for _, half := range halves {
			half()
		}
	}
	b.ReportMetric(float64(events)/median(ours).Seconds(), "events/s")
	b.ReportMetric(float64(events)/median(raw).Seconds(), "raw-events/s")
	var ratios []float64
	for i := range raw {
		ratios = append(ratios, raw[i].Seconds()/ours[i].Seconds())
	}
	b.ReportMetric(median(ratios), "of-raw")
}

func median[T cmp.Ordered](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// manyLines have ids of their own, and 200 bytes and more beside.
func manyLines(round, events int) []byte {
	var text bytes.Buffer
	filler := strings.Repeat("x", 200)
	for n := range events {
		fmt.Fprintf(&text, "{\"id\":\"%d-%d\",\"filler\":%q}\n", round, n, filler)
	}
	return text.Bytes()
}

// connect connects to a server of its own, so that nobody pays for what others have stored.
func connect(b *testing.B, topic string) *worker.Connections {
	b.Helper()
	c, err := worker.Connect(b.Context(), &worker.ConnectOptions{NATS: natstest.Start(b, nil).URL(), Provision: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	if _, err := c.Bus().Topic(b.Context(), topic, "", bus.Start{}); err != nil {
		b.Fatal(err)
	}
	return c
}

func publishLines(b *testing.B, r io.Reader) time.Duration {
	b.Helper()
	c := connect(b, "t")
	begun := time.Now()
	if n, err := ndjson.Publish(b.Context(), c.Bus(), "t", r, &ndjson.Options{Order: ndjson.OrderNone}); err != nil {
		b.Fatal(n, err)
	}
	took := time.Since(begun)
	_ = c.Close()
	return took
}

func publishRaw(b *testing.B, data []byte) time.Duration {
	b.Helper()
	c := connect(b, "t")
	js, err := jetstream.New(c.NATS(), jetstream.WithPublishAsyncMaxPending(4000))
	if err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	n := 0
	for line := range bytes.Lines(data) {
		n++
		msg := &nats.Msg{Subject: "t", Data: line[:len(line)-1], Header: nats.Header{"Nats-Msg-Id": []string{strconv.Itoa(n)}}}
		if _, err := js.PublishMsgAsync(msg, jetstream.WithStallWait(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	took := time.Since(begun)
	_ = c.Close()
	return took
}
