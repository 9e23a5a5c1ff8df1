package dedupetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

func watermarkCases() []testcase {
	return []testcase{
		{"Watermark/begins once", beginsOnce},
		{"Watermark/each incarnation has its own, in the order in which they were begun", eachIncarnation},
		{"Watermark/never goes back", neverBack},
		{"Watermark/is replaced only where it is what is kept", replacesKept},
		{"Watermark/advance of what never began", advanceUnknown},
		{"Watermark/scope", watermarkScope},
		{"Watermark/exact", watermarkExact},
		{"Watermark/64 begin at once", raceBegin},
		{"Watermark/many advance at once", raceAdvance},
		{"Watermark/64 replace at once", raceReplace},
		{"Watermark/is no key", watermarkIsNoKey},
		{"Watermark/an ended context", watermarkEndedContext},
	}
}

var noon = time.Date(2031, 5, 6, 12, 0, 0, 123_456_789, time.UTC)

func at(sequence uint64, after time.Duration) dedupe.Watermark {
	return of("ORDERS@1", sequence, noon.Add(after))
}

func of(stream string, sequence uint64, stored time.Time) dedupe.Watermark {
	return dedupe.Watermark{Position: dedupe.Position{Stream: stream, Sequence: sequence, Stored: stored}}
}

// trailed has a trail of so many points below its sequence.
func trailed(w dedupe.Watermark, points uint64) dedupe.Watermark {
	for i := points; i > 0; i-- {
		w.Trail = append(w.Trail, dedupe.Point{Sequence: w.Sequence - i, Stored: w.Stored.Add(-time.Duration(i))})
	}
	return w
}

// begin wants Begin to answer that.
func (k *kit) begin(t *testing.T, group, topic string, ask, want dedupe.Watermark) {
	t.Helper()
	got, err := k.watermarker.Begin(t.Context(), group, topic, ask)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	if !sameWatermark(got, want) {
		t.Errorf("Begin of %q on %q: %+v, want %+v", group, topic, got, want)
	}
}

// keeps wants these to be kept, in this order.
func (k *kit) keeps(t *testing.T, group, topic string, want ...dedupe.Watermark) {
	t.Helper()
	got, err := k.watermarker.Watermarks(t.Context(), group, topic)
	if err != nil {
		t.Fatalf("Watermarks: %v", err)
	}
	if !slices.EqualFunc(got, want, sameWatermark) {
		t.Errorf("%q keeps on %q %+v, want %+v", group, topic, got, want)
	}
}

func (k *kit) advance(t *testing.T, group, topic string, to dedupe.Watermark) {
	t.Helper()
	if err := k.watermarker.Advance(t.Context(), group, topic, to); err != nil {
		t.Fatalf("Advance: %v", err)
	}
}

func sameWatermark(a, b dedupe.Watermark) bool {
	return a.Stream == b.Stream && a.Sequence == b.Sequence && a.Stored.Equal(b.Stored) && slices.EqualFunc(a.Trail, b.Trail,
		func(p, q dedupe.Point) bool { return p.Sequence == q.Sequence && p.Stored.Equal(q.Stored) })
}

func beginsOnce(t *testing.T, k *kit) {
	k.keeps(t, "g", "t")
	first := trailed(at(7, 0), 3)
	k.begin(t, "g", "t", first, first)
	k.begin(t, "g", "t", first, first)
	k.begin(t, "g", "t", at(9, time.Second), first)
	k.begin(t, "g", "t", at(3, -time.Second), first)
	k.keeps(t, "g", "t", first)
	zero := of("ORDERS@1", 0, time.Time{})
	k.begin(t, "earliest", "t", zero, zero)
	k.keeps(t, "earliest", "t", zero)
}

func eachIncarnation(t *testing.T, k *kit) {
	want := []dedupe.Watermark{at(7, 0)}
	k.begin(t, "g", "t", want[0], want[0])
	for i, stream := range []string{"ORDERS@2", "OTHER@1", "ORDERS@1 ", "orders@1"} {
		next := trailed(of(stream, 900, noon.Add(-time.Hour)), uint64(i))
		k.begin(t, "g", "t", next, next)
		k.begin(t, "g", "t", at(1, 0), want[0])
		k.keeps(t, "g", "t", append(want, next)...)
		next = trailed(of(stream, 901, noon.Add(time.Hour)), uint64(i)+1)
		k.advance(t, "g", "t", next)
		want = append(want, next)
		k.keeps(t, "g", "t", want...)
	}
}

func neverBack(t *testing.T, k *kit) {
	k.begin(t, "g", "t", at(7, 0), at(7, 0))
	for _, step := range []struct {
		to   dedupe.Watermark
		kept bool
	}{
		{trailed(at(20, time.Minute), 2), true},
		{at(20, time.Minute), false},
		{at(19, time.Hour), false},
		{at(20, time.Second), false},
		{at(20, 2*time.Minute), false},
		{of("ORDERS@1", 0, time.Time{}), false},
		{at(21, time.Second), true}, // its clock has stepped back: it is that event's time all the same
		{trailed(at(22, time.Minute), 12), true},
	} {
		kept, err := k.watermarker.Watermarks(t.Context(), "g", "t")
		if err != nil {
			t.Fatalf("Watermarks: %v", err)
		}
		k.advance(t, "g", "t", step.to)
		if step.kept {
			kept = []dedupe.Watermark{step.to}
		}
		k.keeps(t, "g", "t", kept...)
	}
}

func replacesKept(t *testing.T, k *kit) {
	other := of("OTHER@1", 3, noon)
	k.begin(t, "g", "t", other, other)
	k.begin(t, "g", "t", at(7, 0), at(7, 0))
	replace := func(was, now dedupe.Watermark, want bool) {
		t.Helper()
		if got, err := k.watermarker.Replace(t.Context(), "g", "t", was, now); err != nil || got != want {
			t.Errorf("Replace of %+v by %+v: %v, %v; want %v", was, now, got, err, want)
		}
	}
	replace(at(6, 0), at(1, 0), false)
	replace(at(7, 1), at(1, 0), false)
	replace(of("ORDERS@2", 7, noon), of("ORDERS@2", 1, noon), false)
	k.keeps(t, "g", "t", other, at(7, 0))
	k.keeps(t, "unknown", "t")
	back, zero := trailed(at(5, -time.Minute), 2), of("ORDERS@1", 0, time.Time{})
	replace(at(7, 0), back, true)
	k.keeps(t, "g", "t", other, back)
	replace(at(7, 0), at(4, 0), false)
	replace(back, zero, true)
	k.keeps(t, "g", "t", other, zero)
	replace(of("ORDERS@1", 0, noon), at(4, 0), false)
	replace(zero, at(4, 0), true)
	k.keeps(t, "g", "t", other, at(4, 0))
}

func advanceUnknown(t *testing.T, k *kit) {
	k.advance(t, "g", "t", at(20, time.Minute))
	k.keeps(t, "g", "t")
	k.begin(t, "g", "t", at(7, 0), at(7, 0))
	k.advance(t, "g", "t", of("ORDERS@2", 50, noon.Add(time.Hour)))
	k.keeps(t, "g", "t", at(7, 0))
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
		k.keeps(t, p[0], p[1], at(uint64(i)+200, time.Second))
	}
}

// watermarkExact: sequences beyond what a float holds, times to the nanosecond, in any zone and
// beyond any epoch.
func watermarkExact(t *testing.T, k *kit) {
	for _, p := range []dedupe.Watermark{
		of("ORDERS:2026-01-02T03:04:05.000000001Z::%", 1<<53+1, noon),
		of("s", 1<<62+3, noon.In(time.FixedZone("", 3600)).Add(1)),
		of("s", 1, time.Unix(0, 1)),
		of("", 2, time.Unix(1, 999_999_999)),
	} {
		topic := p.Stored.String()
		p = trailed(p, min(p.Sequence-1, 40))
		k.begin(t, "g", topic, p, p)
		k.begin(t, "g", topic, of(p.Stream, 0, time.Time{}), p)
		p = trailed(of(p.Stream, p.Sequence+1, p.Stored.Add(1)), 1)
		k.advance(t, "g", topic, p)
		k.keeps(t, "g", topic, p)
	}
}

func raceBegin(t *testing.T, k *kit) {
	const n = 64
	answers := make([]dedupe.Watermark, n)
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
		if !sameWatermark(p, answers[0]) {
			t.Errorf("one begins at %+v, another at %+v", answers[0], answers[i])
		}
	}
	k.keeps(t, "g", "t", answers[0])
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
	k.keeps(t, "g", "t", at(n+1, (n-1)*time.Second))
}

// raceReplace: of those who see that the stream has lost its end, one decides.
func raceReplace(t *testing.T, k *kit) {
	const n = 64
	k.begin(t, "g", "t", at(1000, 0), at(1000, 0))
	won := make(chan dedupe.Watermark, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			now := at(uint64(i)+1, time.Duration(i))
			ok, err := k.watermarker.Replace(t.Context(), "g", "t", at(1000, 0), now)
			if err != nil {
				t.Errorf("Replace: %v", err)
			}
			if ok {
				won <- now
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d of %d replaced the same watermark, want one", len(won), n)
	}
	k.keeps(t, "g", "t", <-won)
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
	k.keeps(t, "g", "t", at(7, 0))
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
	if ok, err := k.watermarker.Replace(ended, "g", "t", at(9, 0), at(1, 0)); err == nil || ok {
		t.Error("Replace under an ended context: no error")
	}
	if _, err := k.watermarker.Watermarks(ended, "g", "t"); err == nil {
		t.Error("Watermarks under an ended context: no error")
	}
	k.keeps(t, "g", "t", at(9, 0))
}
