package dedupetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

func watermarkCases() []testcase {
	return []testcase{
		{"Watermark/begins once", beginsOnce},
		{"Watermark/another incarnation starts at its first event", otherIncarnation},
		{"Watermark/never goes back", neverBack},
		{"Watermark/advance of what never began", advanceUnknown},
		{"Watermark/scope", watermarkScope},
		{"Watermark/exact", watermarkExact},
		{"Watermark/64 begin at once", raceBegin},
		{"Watermark/many advance at once", raceAdvance},
		{"Watermark/is no key", watermarkIsNoKey},
		{"Watermark/an ended context", watermarkEndedContext},
	}
}

var noon = time.Date(2031, 5, 6, 12, 0, 0, 123_456_789, time.UTC)

func at(sequence uint64, after time.Duration) dedupe.Position {
	return dedupe.Position{Stream: "ORDERS@1", Sequence: sequence, Stored: noon.Add(after)}
}

// begin wants Begin to answer that.
func (k *kit) begin(t *testing.T, group, topic string, ask, want dedupe.Position) {
	t.Helper()
	got, err := k.watermarker.Begin(t.Context(), group, topic, ask)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	if !samePosition(got, want) {
		t.Errorf("Begin of %q on %q: %+v, want %+v", group, topic, got, want)
	}
}

// floor wants that to be kept.
func (k *kit) floor(t *testing.T, group, topic string, want dedupe.Position) {
	t.Helper()
	k.begin(t, group, topic, dedupe.Position{Stream: want.Stream, Sequence: 1, Stored: noon.Add(-time.Hour)}, want)
}

func (k *kit) advance(t *testing.T, group, topic string, to dedupe.Position) {
	t.Helper()
	if err := k.watermarker.Advance(t.Context(), group, topic, to); err != nil {
		t.Fatalf("Advance: %v", err)
	}
}

func samePosition(a, b dedupe.Position) bool {
	return a.Stream == b.Stream && a.Sequence == b.Sequence && a.Stored.Equal(b.Stored)
}

func beginsOnce(t *testing.T, k *kit) {
	k.begin(t, "g", "t", at(7, 0), at(7, 0))
	k.begin(t, "g", "t", at(7, 0), at(7, 0))
	k.begin(t, "g", "t", at(9, time.Second), at(7, 0))
	k.begin(t, "g", "t", at(3, -time.Second), at(7, 0))
	zero := dedupe.Position{Stream: "ORDERS@1"}
	k.begin(t, "earliest", "t", zero, zero)
	k.floor(t, "earliest", "t", zero)
}

func otherIncarnation(t *testing.T, k *kit) {
	k.begin(t, "g", "t", at(7, 0), at(7, 0))
	for _, stream := range []string{"ORDERS@2", "OTHER@1", "ORDERS@1 ", "orders@1"} {
		next := at(900, time.Hour)
		next.Stream = stream
		first := dedupe.Position{Stream: stream}
		k.begin(t, "g", "t", next, first)
		k.begin(t, "g", "t", next, first)
		k.advance(t, "g", "t", next)
		k.floor(t, "g", "t", next)
	}
	k.floor(t, "g", "t", at(7, 0))
}

func neverBack(t *testing.T, k *kit) {
	k.begin(t, "g", "t", at(7, 0), at(7, 0))
	k.advance(t, "g", "t", at(20, time.Minute))
	k.floor(t, "g", "t", at(20, time.Minute))
	k.advance(t, "g", "t", at(20, time.Minute))
	k.advance(t, "g", "t", at(19, time.Hour))
	k.advance(t, "g", "t", at(20, time.Second))
	k.advance(t, "g", "t", dedupe.Position{Stream: "ORDERS@1"})
	k.floor(t, "g", "t", at(20, time.Minute))
	k.advance(t, "g", "t", at(20, 2*time.Minute)) // seen by another process
	k.floor(t, "g", "t", at(20, 2*time.Minute))
	k.advance(t, "g", "t", at(21, time.Second)) // older is safe, and older than what is kept is less than known
	k.floor(t, "g", "t", at(21, 2*time.Minute))
	k.advance(t, "g", "t", dedupe.Position{Stream: "ORDERS@1", Sequence: 22})
	k.floor(t, "g", "t", at(22, 2*time.Minute))
}

func advanceUnknown(t *testing.T, k *kit) {
	k.advance(t, "g", "t", at(20, time.Minute))
	k.begin(t, "g", "t", at(7, 0), at(7, 0)) // the group was not known
	other := at(50, time.Hour)
	other.Stream = "ORDERS@2"
	k.advance(t, "g", "t", other)
	k.begin(t, "g", "t", other, dedupe.Position{Stream: "ORDERS@2"})
}

func watermarkScope(t *testing.T, k *kit) {
	pairs := [][2]string{
		{"g", "t"},
		{"h", "t"},
		{"g", "u"},
		{"t", "g"},
		{"", ""},
		{"g", ""},
		{"", "g"},
		{"a::b", "c"},
		{"a", "b::c"},
		{"a:", "b"},
		{"a", ":b"},
		{"a.b", "c"},
		{"a", "b.c"},
		{"g", "orders.*"},
		{"g", "orders.>"},
		{"g", ">"},
		{"g", "*"},
		{"g", "a b"},
		{"a%3Ab", "c"},
		{"a:b", "c"},
		{"\xff", "t"},
		{"\ufffd", "t"},
		{"\x00", "t"},
		{"G", "t"},
		{"g", "$where"},
	}
	for i, p := range pairs {
		begin := at(uint64(i)+100, 0)
		k.begin(t, p[0], p[1], begin, begin)
	}
	for i, p := range pairs {
		k.advance(t, p[0], p[1], at(uint64(i)+200, time.Second))
	}
	for i, p := range pairs {
		k.floor(t, p[0], p[1], at(uint64(i)+200, time.Second))
	}
}

// watermarkExact: sequences beyond what a float holds, times to the nanosecond, in any zone and beyond any epoch.
func watermarkExact(t *testing.T, k *kit) {
	for _, p := range []dedupe.Position{
		{Stream: "ORDERS:2026-01-02T03:04:05.000000001Z::%", Sequence: 1<<53 + 1, Stored: noon},
		{Stream: "s", Sequence: 1<<62 + 3, Stored: noon.In(time.FixedZone("", 3600)).Add(1)},
		{Stream: "s", Sequence: 1, Stored: time.Unix(0, 1)},
		{Stream: "", Sequence: 2, Stored: time.Unix(1, 999_999_999)},
	} {
		topic := p.Stored.String()
		k.begin(t, "g", topic, p, p)
		k.begin(t, "g", topic, dedupe.Position{Stream: p.Stream}, p)
		p.Sequence++
		p.Stored = p.Stored.Add(1)
		k.advance(t, "g", topic, p)
		k.floor(t, "g", topic, p)
	}
}

func raceBegin(t *testing.T, k *kit) {
	const n = 64
	answers := make([]dedupe.Position, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			p, err := k.watermarker.Begin(t.Context(), "g", "t", at(uint64(i)+1, time.Duration(i)))
			if err != nil {
				t.Errorf("Begin: %v", err)
			}
			answers[i] = p
		})
	}
	wg.Wait()
	for i, p := range answers {
		if !samePosition(p, answers[0]) {
			t.Errorf("one begins at %+v, another at %+v", answers[0], answers[i])
		}
	}
	k.floor(t, "g", "t", answers[0])
}

func raceAdvance(t *testing.T, k *kit) {
	const n = 32
	k.begin(t, "g", "t", at(1, 0), at(1, 0))
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := k.watermarker.Advance(t.Context(), "g", "t", at(uint64(i)+2, time.Duration(i)*time.Second)); err != nil {
				t.Errorf("Advance: %v", err)
			}
		})
	}
	wg.Wait()
	k.floor(t, "g", "t", at(n+1, (n-1)*time.Second))
}

// watermarkIsNoKey: what is kept of groups and of keys is apart.
func watermarkIsNoKey(t *testing.T, k *kit) {
	k.begin(t, "g", "t", at(7, 0), at(7, 0))
	for _, id := range []string{"", "ORDERS@1"} {
		m := doneMark(dedupe.Key{Topic: "t", Group: "g", ID: id})
		k.is(t, m.Key, dedupe.Fresh)
		k.mark(t, m)
		k.is(t, m.Key, dedupe.Done)
	}
	k.floor(t, "g", "t", at(7, 0))
}

func watermarkEndedContext(t *testing.T, k *kit) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.watermarker.Begin(ended, "g", "t", at(7, 0)); err == nil {
		t.Error("Begin under an ended context: no error")
	}
	k.begin(t, "g", "t", at(7, 0), at(7, 0))
	if err := k.watermarker.Advance(ended, "g", "t", at(9, 0)); err == nil {
		t.Error("Advance under an ended context: no error")
	}
	k.advance(t, "g", "t", at(9, 0))
	k.floor(t, "g", "t", at(9, 0))
}
