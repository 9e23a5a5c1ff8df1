package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

// record is a log that can be read.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *record) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

func transform(from, to string) *jetstream.SubjectTransformConfig {
	return &jetstream.SubjectTransformConfig{Source: from, Destination: to}
}

// received subscribes a group to the topic, has an event published to another, and returns the
// topic that it came under.
func received(t *testing.T, b *natsbus.Bus, topic, publishTo string) string {
	t.Helper()
	src, err := b.Subscribe(t.Context(), topic, group, nil)
	if err != nil {
		t.Fatalf("Subscribe(%q): %v", topic, err)
	}
	t.Cleanup(func() { _ = src.Close(context.Background()) }) // It only held a consumer.
	if _, err := b.Publish(t.Context(), bus.Event{ID: "1", Topic: publishTo}); err != nil {
		t.Fatal(err)
	}
	d := fetch(t, src, 1)[0]
	ack(t, d)
	return d.Event.Topic
}

// A group that would never receive anything is told so: by the topic that it has to subscribe to.
func TestATopicThatItsStreamRenamesIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{Name: "R", Subjects: []string{"bills.>"}, SubjectTransform: transform("bills.>", "stored.bills.>")})
	makeStream(t, w.js, jetstream.StreamConfig{Name: "P", Subjects: []string{"notes.>"}, SubjectTransform: transform("notes.eu.*", "eu.notes.$1")})
	for topic, want := range map[string]string{"bills.>": "stored.bills.>", "bills.new": "stored.bills.>", "notes.>": "eu.notes.*", "notes.eu.*": "eu.notes.*"} {
		_, err := w.bus.Subscribe(t.Context(), topic, group, nil)
		if err == nil || errors.Is(err, bus.ErrNoStream) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Options.Stream") {
			t.Errorf("Subscribe(%q): %v; want it refused, naming %s", topic, err, want)
		}
		if _, err := w.bus.Topic(t.Context(), topic, group, bus.Start{}); err == nil {
			t.Errorf("Topic(%q) for a group: no error", topic)
		}
		if info, err := w.bus.Topic(t.Context(), topic, "", bus.Start{}); err != nil || info.MaxBytes == 0 {
			t.Errorf("Topic(%q) for who publishes: %+v, %v", topic, info, err)
		}
	}
}

func TestATopicIsReadAsItIsStored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		streams            []jetstream.StreamConfig
		topic, publish, as string
		from               string // the stream
		readOnly           bool
	}{
		"renamed by the stream": {
			streams: []jetstream.StreamConfig{{Name: "R", Subjects: []string{"bills.>"}, SubjectTransform: transform("bills.>", "stored.bills.>")}},
			topic:   "stored.bills.*", publish: "bills.new", as: "stored.bills.new", from: "R", readOnly: true,
		},
		"partitioned within the topic": {
			streams: []jetstream.StreamConfig{{Name: "R", Subjects: []string{"bills.*"}, SubjectTransform: transform("bills.*", "bills.{{partition(1,1)}}.$1")}},
			topic:   "bills.>", publish: "bills.new", as: "bills.0.new", from: "R",
		},
		"renamed by a source": {
			streams: []jetstream.StreamConfig{
				{Name: "O", Subjects: []string{"bills.>"}},
				{Name: "A", Sources: []*jetstream.StreamSource{{Name: "O", SubjectTransforms: []jetstream.SubjectTransformConfig{*transform("bills.>", "all.bills.>")}}}},
			},
			topic: "all.bills.*", publish: "bills.new", as: "all.bills.new", from: "A", readOnly: true,
		},
		"renamed by a mirror": {
			streams: []jetstream.StreamConfig{
				{Name: "O", Subjects: []string{"bills.>"}},
				{Name: "M", Mirror: &jetstream.StreamSource{Name: "O", SubjectTransforms: []jetstream.SubjectTransformConfig{*transform("bills.>", "copy.>")}}},
			},
			topic: "copy.new", publish: "bills.new", as: "copy.new", from: "M", readOnly: true,
		},
		"renamed, then aggregated": {
			streams: []jetstream.StreamConfig{
				{Name: "O", Subjects: []string{"bills.>"}, SubjectTransform: transform("bills.>", "eu.bills.>")},
				{Name: "A", Sources: []*jetstream.StreamSource{{Name: "O", SubjectTransforms: []jetstream.SubjectTransformConfig{*transform("eu.>", "all.eu.>")}}}},
			},
			topic: "all.eu.bills.new", publish: "bills.new", as: "all.eu.bills.new", from: "A", readOnly: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			for _, s := range c.streams {
				makeStream(t, w.js, s)
			}
			b := newBus(t, w.nc, &natsbus.Options{Provision: &natsbus.Provision{}})
			info, err := b.Topic(t.Context(), c.topic, group, bus.Start{})
			if err != nil || !strings.HasPrefix(info.Start.Stream, c.from+"@") || info.ReadOnly != c.readOnly {
				t.Fatalf("Topic(%q): %+v, %v; want stream %s, read only: %v", c.topic, info, err, c.from, c.readOnly)
			}
			if got := received(t, b, c.topic, c.publish); got != c.as {
				t.Errorf("the event came under %q; want %q", got, c.as)
			}
		})
	}
}

func streams(t *testing.T, js jetstream.JetStream) (names []string) {
	t.Helper()
	list := js.StreamNames(t.Context())
	for name := range list.Name() {
		names = append(names, name)
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

// No empty stream is made beside one that has the topic's events.
func TestProvisionLooksForAStreamThatHoldsTheTopic(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, w *world){
		"its subject was changed": func(t *testing.T, w *world) {
			t.Helper()
			publish(t, w.bus, "1")
			if _, err := w.js.UpdateStream(t.Context(), jetstream.StreamConfig{Name: stream, Subjects: []string{"purchases.>"}}); err != nil {
				t.Fatal(err)
			}
		},
		"its origin is gone": func(t *testing.T, w *world) {
			t.Helper()
			makeStream(t, w.js, jetstream.StreamConfig{Name: "all", Sources: []*jetstream.StreamSource{{Name: stream}}})
			publish(t, w.bus, "1")
			eventually(t, "the copy", func() bool { return w.messages(t, "all") == 1 })
			if err := w.js.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			prepare(t, w)
			before := streams(t, w.js)
			b := newBus(t, w.nc, &natsbus.Options{Provision: &natsbus.Provision{}})
			src, err := b.Subscribe(t.Context(), topic, group, nil)
			if err == nil {
				t.Cleanup(func() { _ = src.Close(context.Background()) })
				if d := fetch(t, src, 1)[0]; d.Event.ID != "1" {
					t.Errorf("%q came; want 1", d.Event.ID)
				}
			} else if errors.Is(err, bus.ErrNoStream) || !strings.Contains(err.Error(), stream) || !strings.Contains(err.Error(), "Options.Stream") {
				t.Errorf("Subscribe: %v; want the stream that has the events, and Options.Stream", err)
			}
			if after := streams(t, w.js); len(after) != len(before) {
				t.Errorf("streams %q became %q", before, after)
			}
			if err := b.Provision(t.Context(), "invoices.new"); err != nil {
				t.Errorf("Provision of a topic that no stream has: %v", err)
			}
		})
	}
}

func (w *world) messages(t *testing.T, name string) uint64 {
	t.Helper()
	s, err := w.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// Options.Stream is trusted, and what is odd about it is said.
func TestTheChosenStreamIsTrusted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	publish(t, w.bus, "1")
	if _, err := w.js.UpdateStream(t.Context(), jetstream.StreamConfig{Name: stream, Subjects: []string{"purchases.>"}}); err != nil {
		t.Fatal(err)
	}
	makeStream(t, w.js, jetstream.StreamConfig{Name: "second", Subjects: []string{"orders.>"}})
	var log record
	b := newBus(t, w.nc, &natsbus.Options{Stream: stream, Logger: log.logger()})
	src := subscribe(t, b, nil)
	if d := fetch(t, src, 1)[0]; d.Event.ID != "1" || !strings.HasPrefix(d.At.Stream, stream+"@") {
		t.Errorf("%q came from %q; want 1 from the chosen stream", d.Event.ID, d.At.Stream)
	}
	if !strings.Contains(log.String(), "gets no further events") {
		t.Errorf("nobody was told that no further events come: %s", log.String())
	}
	if _, err := src.Info(t.Context()); err != nil || src.Healthy() != nil {
		t.Errorf("Info: %v, healthy: %v; want what was accepted to be no fault", err, src.Healthy())
	}
	if info, err := b.Topic(t.Context(), "orders.>", "", bus.Start{}); err != nil || !strings.HasPrefix(info.Start.Stream, "second@") {
		t.Errorf("Topic for who publishes: %+v, %v; want the stream that takes it", info, err)
	}
}

// What changes while a group is subscribed, so that it misses events, makes it unhealthy
// and is logged.
func TestEventsThatGoElsewhereAreNoticed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		topic  string
		change func(ctx context.Context, js jetstream.JetStream) error
		want   string
	}{
		"a second stream takes a part of the pattern": {
			topic: "*.new",
			change: func(ctx context.Context, js jetstream.JetStream) error {
				_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "bills", Subjects: []string{"bills.new"}})
				return err
			},
			want: "bills",
		},
		"the stream begins to rename": {
			topic: topic,
			change: func(ctx context.Context, js jetstream.JetStream) error {
				_, err := js.UpdateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.>"}, SubjectTransform: transform("orders.>", "stored.>")})
				return err
			},
			want: "stored.>",
		},
		"the stream's subject is changed": {
			topic: topic,
			change: func(ctx context.Context, js jetstream.JetStream) error {
				_, err := js.UpdateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"purchases.>"}})
				return err
			},
			want: "purchases.>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			var log record
			b := newBus(t, w.nc, &natsbus.Options{Logger: log.logger()})
			src, err := b.Subscribe(t.Context(), c.topic, group, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = src.Close(context.Background()) })
			poll := func() {
				t.Helper()
				if _, err := src.Info(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if poll(); src.Healthy() != nil {
				t.Fatalf("unhealthy before: %v", src.Healthy())
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := c.change(ctx, w.js); err != nil {
				t.Fatal(err)
			}
			poll()
			poll()
			if err := src.Healthy(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("healthy: %v; want it to name %s", err, c.want)
			}
			if n := strings.Count(log.String(), "do not reach this group"); n != 1 {
				t.Errorf("logged %d times; want once: %s", n, log.String())
			}
		})
	}
}
