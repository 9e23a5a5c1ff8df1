package worker

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/sizing"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestStoreThatWillBeFullIsWarnedOf: once, at the start, with the numbers, by what the stream has
// of the topic.
func TestStoreThatWillBeFullIsWarnedOf(t *testing.T) {
	t.Parallel()
	const events = 300 // within a day: 2,100 within the TTL of 7 days
	nc := natstest.Start(t, nil).Connect(t)
	b, err := natsbus.New(nc, &natsbus.Options{Logger: slog.New(slog.DiscardHandler), Provision: &natsbus.Provision{}})
	must(t, err)
	t.Cleanup(b.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"order.>"}})
	must(t, err)
	for i := range events {
		_, err := b.Publish(t.Context(), bus.Event{ID: fmt.Sprint(i), Topic: "order.placed"}, bus.Event{ID: fmt.Sprint(i), Topic: "order.other"})
		must(t, err)
	}
	memory := func(keys int) dedupe.Store {
		s, err := memdedupe.New(&memdedupe.Options{MaxKeys: keys})
		must(t, err)
		return s
	}
	bucket := func(name string, bytes int64) dedupe.Store {
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: "KV_" + name, Subjects: []string{"$KV." + name + ".>"}, MaxMsgsPerSubject: 1, MaxBytes: bytes, Discard: jetstream.DiscardNew, AllowMsgTTL: true, AllowRollup: true,
		})
		must(t, err)
		s, err := kvdedupe.New(t.Context(), nc, &kvdedupe.Options{Bucket: name, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	for name, c := range map[string]struct {
		store dedupe.Store
		ttl   time.Duration
		want  string
	}{
		"keys":        {memory(2000), 0, "marks=2,100 fit=2,000"},
		"shorter TTL": {memory(2000), 24 * time.Hour, ""},
		"more keys":   {memory(2200), 0, ""},
		"bytes":       {bucket("small", 512<<10), 0, `marks=2,100 bytes="742 KiB" fit="448 KiB"`},
		"more bytes":  {bucket("large", 1<<20), 0, ""},
		"no bound":    {bucket("unbounded", 0), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			w, err := New(strings.ReplaceAll(name, " ", ""), Over(b, c.store), &Options{UntilEmpty: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			must(t, err)
			w.Handle("order.placed", func(context.Context, bus.Event) error { return nil }, &consumer.Options{TTL: c.ttl})
			must(t, w.Run(t.Context()))
			want := 1
			if c.want == "" {
				want = 0
			}
			if n := strings.Count(log.String(), "will be full before marks expire"); n != want || !strings.Contains(log.String(), c.want) {
				t.Errorf("warned %d times, want %d, with %s: %s", n, want, c.want, &log)
			}
		})
	}
}

// TestMuchRoomIsSaid of a store without bounds.
func TestMuchRoomIsSaid(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]string{10: "", 500: `msg="marks will take much room: see worker size" events_per_second=500 ttl=168h0m0s marks=302,400,000 disk="220 GiB" memory="310 GiB"`} {
		var log bytes.Buffer
		w := &Worker{o: Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}}
		var e expectedMarks
		e.add(sizing.KV, sizing.Load{Rate: rate, TTL: 7 * 24 * time.Hour, KeyLength: sizing.DefaultKeyLength})
		w.logMarkRoom(&kvdedupe.Store{}, &e)
		if !strings.Contains(log.String(), want) || want == "" && log.Len() > 0 {
			t.Errorf("%v/s: %s, want %s", rate, &log, want)
		}
	}
}
