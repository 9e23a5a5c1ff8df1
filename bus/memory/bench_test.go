package memory_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
)

// filled is a bus of n events under two topics, "a" and "b" in turn.
func filled(b *testing.B, n int) *membus.Bus {
	b.Helper()
	m, err := membus.New(&membus.Options{Streams: []membus.Stream{{Name: "s", Topics: []string{">"}, DuplicateWindow: -1}}})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 100)
	for i := range n {
		topic := "a"
		if i%2 == 1 {
			topic = "b"
		}
		if _, err := m.Publish(b.Context(), bus.Event{ID: fmt.Sprint(i), Topic: topic, Data: data}); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

// consume fetches and acknowledges n events, 500 at a time.
func consume(b *testing.B, src bus.Source, n int) {
	b.Helper()
	ctx := context.Background()
	for n > 0 {
		ds, err := src.Fetch(ctx, min(500, n))
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range ds {
			if err := d.Ack(ctx); err != nil {
				b.Fatal(err)
			}
		}
		n -= len(ds)
	}
}

// BenchmarkConsume prints ns per event: stored events fetched 500 at a time and acknowledged one by
// one. It must not depend on how many are stored.
func BenchmarkConsume(b *testing.B) {
	for _, bm := range []struct {
		name   string
		stored int
		topic  string
	}{{"10k", 10_000, ">"}, {"1M", 1_000_000, ">"}, {"1M_half_matches", 1_000_000, "b"}} {
		b.Run(bm.name, func(b *testing.B) {
			m := filled(b, bm.stored)
			each := bm.stored
			if bm.topic != ">" {
				each /= 2
			}
			b.ReportAllocs()
			b.ResetTimer()
			for group := 0; b.N > group*each; group++ {
				src, err := m.Subscribe(b.Context(), bm.topic, fmt.Sprint(group), nil)
				if err != nil {
					b.Fatal(err)
				}
				consume(b, src, min(each, b.N-group*each))
				_ = src.Close(b.Context())
				if err := m.DeleteGroup(bm.topic, fmt.Sprint(group)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPublish prints ns per event, 100 in a call, message ids included.
func BenchmarkPublish(b *testing.B) {
	m, err := membus.New(&membus.Options{Streams: []membus.Stream{{Name: "s", Topics: []string{">"}, MaxEvents: 100_000}}})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 100)
	es := make([]bus.Event, 100)
	b.ReportAllocs()
	for i := range b.N {
		es[i%100] = bus.Event{ID: fmt.Sprint(i), Topic: "a", Data: data}
		if i%100 == 99 {
			if _, err := m.Publish(b.Context(), es...); err != nil {
				b.Fatal(err)
			}
		}
	}
}
