package acceptance

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestLettersAtTheLimitsOfTheServer: events that are as large as server and stream take, in data,
// headers and attributes, are given up with an error that is larger still. The source deletes what
// is acknowledged, so the letters are all that is left: nothing is missing in them.
func TestLettersAtTheLimitsOfTheServer(t *testing.T) {
	t.Parallel()
	for name, maxMsgSize := range map[string]int32{"the server's": -1, "a small stream's": 32 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc := natstest.Start(t, nil).Connect(t)
			js, err := jetstream.New(nc)
			must(t, err)
			for _, config := range []jetstream.StreamConfig{
				{Name: "S", Subjects: []string{"t.>"}, Retention: jetstream.WorkQueuePolicy},
				{Name: "DEAD", Subjects: []string{"dead.>"}, MaxMsgSize: maxMsgSize},
			} {
				_, err := js.CreateStream(t.Context(), config)
				must(t, err)
			}
			b, err := natsbus.New(nc, &natsbus.Options{Logger: slog.New(slog.DiscardHandler), APITimeout: patience / 8})
			must(t, err)
			t.Cleanup(b.Close)
			sent := map[string]*nats.Msg{}
			for id, m := range map[string]*nats.Msg{
				"plain":   {Data: []byte("x")},
				"headers": {Header: nats.Header{"X-Long": {strings.Repeat("h", 65_000)}}},
				"many":    {Header: nats.Header{"X": slices.Repeat([]string{"ü"}, 8_000)}, Data: []byte("x")},
				"key":     {Header: nats.Header{"ce-partitionkey": {strings.Repeat("k", 60_000)}}, Data: []byte("x")},
				"data":    {Data: bytes.Repeat([]byte("x\n\x00\xff"), 1<<18-100)},
			} {
				if m.Subject = "t.a"; m.Header == nil {
					m.Header = nats.Header{}
				}
				m.Header.Set("ce-id", id)
				_, err := js.PublishMsg(t.Context(), m)
				must(t, err)
				sent[id] = m
			}
			for id, e := range lettersOf(t, b, len(sent)) {
				m := sent[id]
				if m == nil || !bytes.Equal(e.Data, m.Data) || e.Key != m.Header.Get("ce-partitionkey") {
					t.Errorf("event %q was kept with %d bytes of data and %d of key", id, len(e.Data), len(e.Key))
				}
				for _, name := range []string{"X-Long", "X"} {
					if !slices.Equal(e.Headers[name], m.Header[name]) {
						t.Errorf("event %q was kept with %d headers %s; want %d", id, len(e.Headers[name]), name, len(m.Header[name]))
					}
				}
			}
		})
	}
}

// lettersOf gives up so many events of "t.>", and returns them as their letters have them.
func lettersOf(t *testing.T, b bus.Bus, n int) map[string]bus.Event {
	t.Helper()
	store, err := memdedupe.New(nil)
	must(t, err)
	failure := "no: " + strings.Repeat("e ", 35_000)
	sub, err := consumer.SubscribeExactlyOnce(t.Context(), b, "t.>", "g", store, func(context.Context, bus.Event) error {
		return consumer.Permanent(errors.New(failure))
	}, &consumer.Options{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	src, err := b.Subscribe(t.Context(), "dead.g", "inspector", nil)
	must(t, err)
	defer func() { must(t, src.Close(context.Background())) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events := make(map[string]bus.Event)
	var parts []bus.Event
	for len(events) < n && ctx.Err() == nil {
		ds, err := src.Fetch(ctx, 100)
		must(t, err)
		for _, d := range ds {
			l, err := consumer.ParseLetter(d.Event)
			if errors.Is(err, consumer.ErrLetterPart) {
				parts = append(parts, d.Event)
				continue
			}
			must(t, err)
			if !strings.HasPrefix(l.Reason, "permanent: no: e e") || !strings.HasPrefix(l.Error, "no: e e") || len(l.Error) < 300 {
				t.Errorf("letter %s has reason %.100q and an error of %d bytes", l.ID, l.Reason, len(l.Error))
			}
			must(t, l.Join(parts...))
			events[l.Event.ID] = l.Event
		}
	}
	if len(events) != n {
		t.Errorf("%d letters, want %d; %+v, %v", len(events), n, sub.Stats(), sub.Healthy())
	}
	must(t, sub.Drain(context.WithoutCancel(ctx)))
	return events
}
