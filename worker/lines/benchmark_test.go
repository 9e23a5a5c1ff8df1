package lines_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/natstest"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/lines"
)

// BenchmarkPublish compares lines with asynchronous publishes of the same bytes under message ids, on the same server.
func BenchmarkPublish(b *testing.B) {
	const events = 100_000
	c, err := worker.Connect(b.Context(), &worker.ConnectOptions{NATS: natstest.Start(b, nil).URL(), Provision: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	filler := strings.Repeat("x", 200)
	var ours, raw time.Duration
	for i := 0; b.Loop(); i++ {
		var text bytes.Buffer
		for n := range events {
			fmt.Fprintf(&text, "{\"id\":\"%d-%d\",\"filler\":%q}\n", i, n, filler)
		}
		for _, half := range []func(){
			func() { ours += publishLines(b, c.Bus(), "lines", bytes.NewReader(text.Bytes())) },
			func() { raw += publishRaw(b, c, "raw", text.Bytes()) },
		} {
			half()
		}
	}
	b.ReportMetric(float64(b.N*events)/ours.Seconds(), "events/s")
	b.ReportMetric(raw.Seconds()/ours.Seconds(), "of-raw")
}

func publishLines(b *testing.B, to bus.Bus, topic string, r io.Reader) time.Duration {
	b.Helper()
	if _, err := to.Topic(b.Context(), topic, "", bus.Start{}); err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	if n, err := lines.Publish(b.Context(), to, topic, r, nil); err != nil {
		b.Fatal(n, err)
	}
	return time.Since(begun)
}

var rawRuns int

func publishRaw(b *testing.B, c *worker.Connections, topic string, data []byte) time.Duration {
	b.Helper()
	if _, err := c.Bus().Topic(b.Context(), topic, "", bus.Start{}); err != nil {
		b.Fatal(err)
	}
	js, err := jetstream.New(c.NATS(), jetstream.WithPublishAsyncMaxPending(4000))
	if err != nil {
		b.Fatal(err)
	}
	rawRuns++
	begun := time.Now()
	n := 0
	for line := range bytes.Lines(data) {
		n++
		msg := &nats.Msg{Subject: topic, Data: line[:len(line)-1], Header: nats.Header{"Nats-Msg-Id": []string{strconv.Itoa(rawRuns) + "-" + strconv.Itoa(n)}}}
		if _, err := js.PublishMsgAsync(msg); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	return time.Since(begun)
}
