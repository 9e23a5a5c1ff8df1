package jetstream_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

// Own and foreign publishers agree on the partition of a key: the foreign one publishes with the
// key in the subject, and the stream's transform maps that.
func TestPartitionOfIsTheServersPartition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const n = 8
	makeStream(t, w.js, jetstream.StreamConfig{
		Name: "placed", Subjects: []string{"order.placed.by.*", "order.placed.of8.*.*"},
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: "order.placed.by.*", Destination: "order.placed.of8.{{partition(8,1)}}.{{wildcard(1)}}"},
	})
	keys := []string{"", "%", "a.b", "*", ">", "a b", "50%", "é", "日本", "\x01", "\uFFFD", "customer-17", "of8.3", "$1", "{{x}}"}
	for range 1000 - len(keys) {
		key := make([]rune, rand.IntN(12))
		for i := range key {
			key[i] = rune(rand.IntN(0x250))
		}
		keys = append(keys, string(key))
	}
	var events []bus.Event
	for i, key := range keys {
		events = append(events, bus.Event{ID: fmt.Sprint(i), Topic: "order.placed.by." + bus.KeyToken(key)})
	}
	if _, err := w.bus.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	got := 0
	for number := range n {
		p := bus.Partition{Topic: "order.placed", Of: n, Number: number}
		for s, err := range w.bus.Read(t.Context(), p.Name(), bus.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			key := keys[s.At.Sequence-1]
			if bus.PartitionOf(key, n) != number || s.Event.Key != key || s.Event.Topic != topicBelow(p, key) {
				t.Errorf("the server stores the event of key %q as %q, with key %q; PartitionOf is %d", key, s.Event.Topic, s.Event.Key, bus.PartitionOf(key, n))
			}
			got++
		}
	}
	if got != len(keys) {
		t.Errorf("%d of %d events are in the partitions", got, len(keys))
	}
}

// Events that were published to a partition and those that were mapped to it come in one order.
func TestOwnAndMappedEventsComeInOneOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{
		Name: "placed", Subjects: []string{"order.placed.by.*", "order.placed.of2.*.*"},
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: "order.placed.by.*", Destination: "order.placed.of2.{{partition(2,1)}}.{{wildcard(1)}}"},
	})
	own := bus.Partitioned(w.bus, 2)
	for i := range 100 {
		var err error
		key := fmt.Sprint("key ", i%7)
		if i%2 == 0 {
			_, err = own.Publish(t.Context(), bus.Event{ID: fmt.Sprint(i), Topic: "order.placed", Key: key})
		} else {
			_, err = w.js.Publish(t.Context(), "order.placed.by."+bus.KeyToken(key), []byte(fmt.Sprint(i)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for number := range 2 {
		src, err := w.bus.Subscribe(t.Context(), bus.Partition{Topic: "order.placed", Of: 2, Number: number}.Name(), group, nil)
		if err != nil {
			t.Fatal(err)
		}
		var sequences []uint64
		info, err := src.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range fetch(t, src, int(info.Pending)) {
			sequences = append(sequences, d.At.Sequence)
			if want := fmt.Sprint("key ", (d.At.Sequence-1)%7); d.Event.Key != want {
				t.Errorf("sequence %d has key %q; want %q", d.At.Sequence, d.Event.Key, want)
			}
			ack(t, d)
		}
		if total += len(sequences); !slices.IsSorted(sequences) {
			t.Errorf("partition %d is delivered in the order %d", number, sequences)
		}
		if err := src.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if total != 100 {
		t.Errorf("%d of 100 events are delivered", total)
	}
}

// A stream may have a partition by its transform alone, and before it has any event.
func TestPartitionsAreFoundWhereTheyAreOnlyMapped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{
		Name: "placed", Subjects: []string{"order.placed.by.*"},
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: "order.placed.by.*", Destination: "order.placed.of1.{{partition(1,1)}}.{{wildcard(1)}}"},
	})
	src, err := w.bus.Subscribe(t.Context(), bus.Partition{Topic: "order.placed", Of: 1}.Name(), group, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close(context.Background()) })
	if _, err := w.bus.Publish(t.Context(), bus.Event{ID: "1", Topic: "order.placed.by.k"}); err != nil {
		t.Fatal(err)
	}
	if d := fetch(t, src, 1)[0]; d.Event.Key != "k" {
		t.Errorf("%+v; want the key k", d.Event)
	}
	if _, err := src.Info(t.Context()); err != nil || src.Healthy() != nil {
		t.Errorf("Info: %v, Healthy: %v", err, src.Healthy())
	}
}

// topicBelow is the topic of an event that the server has mapped to a partition.
func topicBelow(p bus.Partition, key string) string {
	if key == "" {
		return p.Name()
	}
	return p.Name() + "." + bus.KeyToken(key)
}

// A foreign client that publishes to a partition's topic, and not below it, is no publisher of
// events: nothing reads them there. The log says so.
func TestEventsBesideAPartitionAreReported(t *testing.T) {
	t.Parallel()
	var log record
	w := newWorld(t, &natsbus.Options{Logger: log.logger()})
	makeStream(t, w.js, jetstream.StreamConfig{Name: "placed", Subjects: []string{"order.placed.>"}})
	p := bus.Partition{Topic: "order.placed", Of: 2}.Name()
	if _, err := w.bus.Publish(t.Context(), bus.Event{ID: "1", Topic: p}); err != nil {
		t.Fatal(err)
	}
	subscribe := func() {
		t.Helper()
		src, err := w.bus.Subscribe(t.Context(), p, group, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := src.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	subscribe()
	if strings.Contains(log.String(), "beside") {
		t.Errorf("an event of a partition is reported: %s", log.String())
	}
	beside := bus.Partition{Topic: "order.placed", Of: 2, Number: 1}.Name()
	if _, err := w.js.Publish(t.Context(), beside, []byte("lost")); err != nil {
		t.Fatal(err)
	}
	subscribe()
	for _, want := range []string{"level=ERROR", "subject=" + beside, beside + ".%", "first_sequence=2", "bus.Partitioned"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q: %s", want, log.String())
		}
	}
}
