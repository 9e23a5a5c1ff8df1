package jetstream_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

func TestMissingStreamNamesTheWayToMakeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	_, err := w.bus.Topic(t.Context(), "invoices.*", group, bus.Start{})
	if !errors.Is(err, bus.ErrNoStream) {
		t.Fatalf("Topic: %v; want ErrNoStream", err)
	}
	for _, want := range []string{`"invoices.*"`, "nats stream add " + natsbus.StreamName("invoices.*") + " --subjects 'invoices.*'", "Provision"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
}

func TestSeveralStreamsMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{Name: "invoices", Subjects: []string{"invoices.new"}})
	_, err := w.bus.Subscribe(t.Context(), "*.new", group, nil)
	if err == nil || errors.Is(err, bus.ErrNoStream) || !strings.Contains(err.Error(), "invoices") || !strings.Contains(err.Error(), stream) {
		t.Errorf("Subscribe: %v; want both streams named", err)
	}
	b := newBus(t, w.nc, &natsbus.Options{Stream: "invoices"})
	for topic, want := range map[string]string{"*.new": "invoices", "orders.new": stream} {
		info, err := b.Topic(t.Context(), topic, group, bus.Start{})
		if err != nil || !strings.HasPrefix(info.Start.Stream, want+"@") {
			t.Errorf("Topic(%q): %+v, %v; want stream %s", topic, info, err, want)
		}
	}
}

func TestMirror(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{Name: "mirror", Mirror: &jetstream.StreamSource{Name: stream}})
	b := newBus(t, w.nc, &natsbus.Options{Stream: "mirror"})
	src := subscribe(t, b, nil)
	publish(t, w.bus, "1")
	if d := fetch(t, src, 1)[0]; d.Event.ID != "1" || !strings.HasPrefix(d.At.Stream, "mirror@") {
		t.Errorf("%q came from %+v; want it from the mirror", d.Event.ID, d.At)
	}
}

func (w *world) config(t *testing.T, name string) jetstream.StreamConfig {
	t.Helper()
	s, err := w.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config
}

func TestProvision(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if err := w.bus.Provision(t.Context(), "invoices.>"); err != nil {
		t.Fatal(err)
	}
	c := w.config(t, natsbus.StreamName("invoices.>"))
	if !slices.Equal(c.Subjects, []string{"invoices.>"}) || c.Storage != jetstream.FileStorage || c.Retention != jetstream.LimitsPolicy ||
		c.Replicas != 1 || c.MaxAge != 0 || c.Duplicates != 2*time.Minute {
		t.Errorf("made %+v", c)
	}
	b := newBus(t, w.nc, &natsbus.Options{Provision: &natsbus.Provision{
		Name: "mine", Subjects: []string{"dead.>", "dead.g", "bills.new"}, MaxAge: time.Minute,
	}})
	for _, topic := range []string{"invoices.new", topic, "bills.*", "bills.new", "dead.g", "bills.*"} {
		if err := b.Provision(t.Context(), topic); err != nil {
			t.Fatalf("Provision(%q): %v", topic, err)
		}
	}
	c = w.config(t, "mine")
	if !slices.Equal(c.Subjects, []string{"bills.*", "dead.>"}) || c.MaxAge != time.Minute || c.Duplicates != time.Minute {
		t.Errorf("made %+v", c)
	}
	if c = w.config(t, stream); !slices.Equal(c.Subjects, []string{"orders.>"}) || c.MaxAge != 0 {
		t.Errorf("a stream that existed was changed: %+v", c)
	}
	if err := b.Provision(t.Context(), "notes"); err == nil || !strings.Contains(err.Error(), "mine") || !strings.Contains(err.Error(), "notes") {
		t.Errorf("Provision under a name that is taken: %v; want name and topic in it", err)
	}
}

func TestProvisionOnDemand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := newBus(t, w.nc, &natsbus.Options{Provision: &natsbus.Provision{}})
	if info, err := b.Topic(t.Context(), "invoices.new", group, bus.Start{}); err != nil || info.Start.Stream == "" {
		t.Errorf("Topic: %+v, %v", info, err)
	}
	src, err := b.Subscribe(t.Context(), "bills.new", group, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestProvisionersRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var all sync.WaitGroup
	for i := range 8 {
		b := newBus(t, w.nc, &natsbus.Options{Provision: &natsbus.Provision{MaxAge: time.Duration(i%2) * time.Hour}})
		all.Go(func() {
			if err := b.Provision(t.Context(), "invoices.new"); err != nil {
				t.Errorf("Provision: %v", err)
			}
		})
	}
	all.Wait()
}

func TestGroupsSubscribeAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	publish(t, w.bus, "1")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			src, err := w.bus.Subscribe(t.Context(), topic, group, &bus.SubscribeOptions{Resume: bus.Position{Stored: time.Now().Add(-time.Duration(i) * time.Hour)}})
			if err != nil {
				t.Errorf("Subscribe: %v", err)
				return
			}
			if err := src.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	all.Wait()
}

// Latest of a stream that was emptied covers nothing that is published later, and a rebuilt
// group gets that.
func TestLatestOfAnEmptiedStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	publish(t, w.bus, "1", "2")
	if err := w.stream(t).Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		info, err := w.bus.Topic(t.Context(), topic, "new", bus.Start{Latest: true})
		if err != nil || info.Start.Sequence != 2 || info.Start.Stored.IsZero() || info.First != (bus.Position{}) {
			t.Fatalf("Topic: %+v, %v; want the start at 2, at some time, and no first", info, err)
		}
		w.server.Stop()
		w.restart(t)
	}
	info, err := w.bus.Topic(t.Context(), topic, "new", bus.Start{Latest: true})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, w.bus, "3")
	src := w.subscribe(t, &bus.SubscribeOptions{Resume: info.Start})
	if d := fetch(t, src, 1)[0]; d.Event.ID != "3" || info.Start.Covers(d.At) {
		t.Errorf("%q at %+v came, start %+v; want 3, not covered", d.Event.ID, d.At, info.Start)
	}
}
