package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func reading(h Harness, reads bool) []promise {
	cases := []promise{
		{name: "a read returns what is stored, in order, as it was published", keeps: readsStored},
		{name: "a read begins and ends where its range says", keeps: readsRanges},
		{name: "a read of a topic returns no other topic's events", keeps: readsTopics},
		{name: "a read that is resumed after each event has no gap and no repeat", keeps: readsResumed},
		{name: "a read that follows the stream returns what is stored later, until its context ends", keeps: readsFollowing},
		{name: "a read of headers only leaves out the data alone", keeps: readsHeaders},
		{name: "a read ends at the end as it was when it began", keeps: readsToTheEnd},
		{name: "a read that stalls, and ends early, takes nothing from anybody", keeps: readsPartly},
		{name: "a read refuses a range that contradicts itself, and a topic without a stream", keeps: refusesRanges},
		{name: "a read after an id begins after its first event", keeps: readsAfterID},
		{name: "a read of a work queue leaves its events to the group", keeps: readsQueue, stream: Stream{WorkQueue: true}},
		{name: "a read passes over events that were deleted inside the stream", keeps: readsDeleted, unless: h.Delete == nil},
		{name: "a read reports what the stream dropped before it was read", keeps: reportsDropped, stream: Stream{MaxEvents: 5}},
		{name: "a read reports what was purged", keeps: reportsPurged, unless: h.Purge == nil},
		{name: "a read of a stream that was deleted and made again is ErrStreamReplaced", keeps: readsReplaced, unless: h.Recreate == nil},
		{name: "a read of a stream that was restored from an older copy is ErrStreamReplaced", keeps: readsRestored, unless: h.Snapshot == nil},
		{name: "a read continues over a restart of the server", keeps: readsRestarted, unless: h.Restart == nil},
	}
	for i := range cases {
		cases[i].unless = cases[i].unless || !reads
	}
	return cases
}

func (f *fixture) reader(t *testing.T) bus.Reader {
	t.Helper()
	reader, ok := f.bus.(bus.Reader)
	if !ok {
		t.Fatalf("%T is no bus.Reader", f.bus)
	}
	return reader
}

// read returns what a range has, which must be read without an error.
func (f *fixture) read(t *testing.T, topic string, r bus.Range) (all []bus.Stored) {
	t.Helper()
	for s, err := range f.reader(t).Read(t.Context(), topic, r) {
		if err != nil {
			t.Fatalf("Read of %q, %+v, after %d events: %v", topic, r, len(all), err)
		}
		all = append(all, s)
	}
	return all
}

func (f *fixture) reads(t *testing.T, what string, r bus.Range, want ...string) {
	t.Helper()
	equal(t, what, readIDs(f.read(t, "orders.>", r)), want)
}

// endsWith wants a read to end with an error, and returns the ids before it.
func (f *fixture) endsWith(t *testing.T, topic string, r bus.Range, want error) {
	t.Helper()
	var last error
	for _, err := range f.reader(t).Read(t.Context(), topic, r) {
		if last != nil {
			t.Fatalf("Read of %q, %+v went on after %v", topic, r, last)
		}
		last = err
	}
	if last == nil || want != nil && !errors.Is(last, want) {
		t.Errorf("Read of %q, %+v ended with %v; want %v", topic, r, last, want)
	}
}

func readIDs(all []bus.Stored) (ids []string) {
	for _, s := range all {
		ids = append(ids, s.Event.ID)
	}
	return ids
}

func numbers(from, to int) (out []string) {
	for i := from; i <= to; i++ {
		out = append(out, strconv.Itoa(i))
	}
	return out
}

func readsStored(t *testing.T, f *fixture) {
	es := append(events(3), bus.Event{
		ID: "full", Topic: "orders.eu.changed", Key: "customer-7", Type: "order.changed.v2", Source: "/shops/12",
		Time: time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.UTC), ContentType: "application/json", Data: []byte(`{"cents":5}`),
		Headers: bus.Headers{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "Repeated": {"a", "b"}},
	}.WithControl(bus.Control{Letter: "g/s/1"}))
	f.publish(t, es...)
	ds := f.fetch(t, f.subscribe(t, "g", nil), len(es))
	all := f.read(t, "orders.>", bus.Range{})
	if len(all) != len(es) {
		t.Fatalf("%q were read; want %d events", readIDs(all), len(es))
	}
	for i, s := range all {
		if err := differ(s.Event, es[i]); err != nil || s.Malformed != nil {
			t.Errorf("event %q: %v, %v", es[i].ID, err, s.Malformed)
		}
		if s.At != ds[i].At {
			t.Errorf("event %q was read at %v and delivered at %v", es[i].ID, s.At, ds[i].At)
		}
	}
}

// spaced publishes events with stored times that differ, and returns them as they were read.
func (f *fixture) spaced(t *testing.T, n int) []bus.Stored {
	t.Helper()
	for _, e := range events(n) {
		f.publish(t, e)
		pause()
	}
	return f.read(t, "orders.>", bus.Range{})
}

func readsRanges(t *testing.T, f *fixture) {
	f.reads(t, "an empty stream", bus.Range{})
	f.reads(t, "an empty stream, by time", bus.Range{From: bus.From{Time: time.Now().Add(-time.Hour)}})
	all := f.spaced(t, 5)
	second, fourth, last := all[1].At, all[3].At, all[4].At
	f.reads(t, "all", bus.Range{}, numbers(1, 5)...)
	f.reads(t, "from a time", bus.Range{From: bus.From{Time: second.Stored}}, numbers(2, 5)...)
	f.reads(t, "from after a time", bus.Range{From: bus.From{Time: second.Stored.Add(1)}}, numbers(3, 5)...)
	f.reads(t, "from a time before all", bus.Range{From: bus.From{Time: all[0].At.Stored.Add(-time.Hour)}}, numbers(1, 5)...)
	f.reads(t, "from a time behind all", bus.Range{From: bus.From{Time: last.Stored.Add(time.Hour)}})
	f.reads(t, "after a position", bus.Range{From: bus.From{After: second}}, numbers(3, 5)...)
	f.reads(t, "after the last position", bus.Range{From: bus.From{After: last}})
	f.reads(t, "after an id", bus.Range{From: bus.From{AfterID: "2"}}, numbers(3, 5)...)
	f.reads(t, "until a time", bus.Range{Until: bus.Until{Time: fourth.Stored}}, numbers(1, 3)...)
	f.reads(t, "until a time behind all", bus.Range{Until: bus.Until{Time: last.Stored.Add(time.Hour)}}, numbers(1, 5)...)
	f.reads(t, "until a position", bus.Range{Until: bus.Until{Position: fourth}}, numbers(1, 4)...)
	beyond := last
	beyond.Sequence += 100
	f.reads(t, "until a position behind all", bus.Range{Until: bus.Until{Position: beyond}}, numbers(1, 5)...)
	f.reads(t, "between", bus.Range{From: bus.From{After: second}, Until: bus.Until{Time: last.Stored}}, "3", "4")
	f.reads(t, "nothing between", bus.Range{From: bus.From{After: fourth}, Until: bus.Until{Position: second}})
	for _, at := range []bus.Position{second, fourth} {
		parsed, err := bus.ParsePosition(at.String())
		if err != nil || parsed != at {
			t.Errorf("%v is parsed as %v, %v", at, parsed, err)
		}
	}
}

func readsTopics(t *testing.T, f *fixture) {
	var want []string
	for i := range 30 {
		e := event(strconv.Itoa(i))
		if e.Topic = "orders." + []string{"eu", "us", "asia"}[i%3]; i%3 == 1 {
			want = append(want, e.ID)
		}
		f.publish(t, e)
	}
	equal(t, "a topic", readIDs(f.read(t, "orders.us", bus.Range{})), want)
	equal(t, "a pattern", readIDs(f.read(t, "orders.*", bus.Range{})), numbers(0, 29))
	equal(t, "a topic without events", readIDs(f.read(t, "orders.none", bus.Range{})), nil)
	after := f.read(t, "orders.us", bus.Range{})[4].At
	equal(t, "a topic, after a position", readIDs(f.read(t, "orders.us", bus.Range{From: bus.From{After: after}})), want[5:])
}

func readsResumed(t *testing.T, f *fixture) {
	f.publish(t, events(25)...)
	var got []string
	var from bus.From
	for range 100 {
		before := len(got)
		for s, err := range f.reader(t).Read(t.Context(), "orders.>", bus.Range{From: from}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s.Event.ID)
			if from = (bus.From{After: s.At}); len(got)-before == 3 {
				break
			}
		}
		if len(got) == before {
			break
		}
	}
	equal(t, "read in pieces", got, numbers(1, 25))
}

func readsFollowing(t *testing.T, f *fixture) {
	const n = 12
	f.publish(t, events(n/2)...)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	var got []string
	var last error
	for s, err := range f.reader(t).Read(ctx, "orders.>", bus.Range{Until: bus.Until{Follow: true}}) {
		if err != nil {
			last = err
			continue
		}
		got = append(got, s.Event.ID)
		if len(got) == n {
			cancel(enough)
		} else if len(got) >= n/2 {
			f.publish(t, event(strconv.Itoa(len(got)+1)))
		}
	}
	cancel(nil)
	equal(t, "followed", got, numbers(1, n))
	if !errors.Is(last, enough) {
		t.Errorf("the read ended with %v; want the cause of its context's end", last)
	}
}

func readsHeaders(t *testing.T, f *fixture) {
	e := event("1")
	e.Key, e.Headers = "k", bus.Headers{"Kept": {"1"}}
	f.publish(t, e, event("2"))
	all := f.read(t, "orders.>", bus.Range{HeadersOnly: true})
	if len(all) != 2 {
		t.Fatalf("%q were read; want both", readIDs(all))
	}
	for _, s := range all {
		if s.Event.Data != nil || s.Malformed != nil {
			t.Errorf("event %q has data %q, %v", s.Event.ID, s.Event.Data, s.Malformed)
		}
	}
	if e.Data = nil; differ(all[0].Event, e) != nil {
		t.Errorf("without its data it is not the same: %v", differ(all[0].Event, e))
	}
}

func readsToTheEnd(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	var got []string
	for s, err := range f.reader(t).Read(t.Context(), "orders.>", bus.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s.Event.ID)
		f.publish(t, event("later "+s.Event.ID))
	}
	equal(t, "read while more was stored", got, numbers(1, 3))
}

func readsPartly(t *testing.T, f *fixture) {
	const n = 700
	f.publish(t, events(n)...)
	seen := 0
	for _, err := range f.reader(t).Read(t.Context(), "orders.>", bus.Range{Until: bus.Until{Follow: true}}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 5 {
			break
		}
		pause()
	}
	f.reads(t, "again", bus.Range{}, numbers(1, n)...)
	if got := f.fetch(t, f.subscribe(t, "g", nil), n); got[0].Arrivals != 1 {
		t.Errorf("a group's first delivery is arrival %d", got[0].Arrivals)
	}
}

func refusesRanges(t *testing.T, f *fixture) {
	f.publish(t, events(2)...)
	at := f.read(t, "orders.>", bus.Range{})[0].At
	now := at.Stored
	for _, r := range []bus.Range{
		{From: bus.From{Time: now, After: at}},
		{From: bus.From{After: at, AfterID: "1"}},
		{Until: bus.Until{Follow: true, Time: now}},
		{Until: bus.Until{Position: at, Time: now}},
		{From: bus.From{Time: now}, Until: bus.Until{Time: now.Add(-1)}},
		{From: bus.From{After: bus.Position{Stream: at.Stream}}},
		{Until: bus.Until{Position: bus.Position{Stream: at.Stream}}},
	} {
		f.endsWith(t, "orders.>", r, nil)
	}
	f.endsWith(t, "not valid.", bus.Range{}, nil)
	f.endsWith(t, "elsewhere", bus.Range{}, bus.ErrNoStream)
	f.endsWith(t, "orders.>", bus.Range{From: bus.From{AfterID: "unknown"}}, bus.ErrNoEvent)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range f.reader(t).Read(ctx, "orders.>", bus.Range{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Read under a cancelled context: %v", err)
		}
	}
}

func readsAfterID(t *testing.T, f *fixture) {
	for i, id := range []string{"a", "b", "a", "c"} {
		e := event(id)
		e.Topic = fmt.Sprint("orders.", i) // One id on two topics is two events.
		f.publish(t, e)
	}
	f.reads(t, "after an id that repeats", bus.Range{From: bus.From{AfterID: "a"}}, "b", "a", "c")
	f.reads(t, "after an id, until a position", bus.Range{
		From: bus.From{AfterID: "b"}, Until: bus.Until{Position: f.read(t, "orders.>", bus.Range{})[2].At},
	}, "a")
}

func readsQueue(t *testing.T, f *fixture) {
	const n = 150
	f.publish(t, events(n)...)
	src := f.subscribe(t, "g", nil)
	f.reads(t, "a queue beside its group", bus.Range{}, numbers(1, n)...)
	all := f.read(t, "orders.>", bus.Range{HeadersOnly: true})
	f.reads(t, "after a position", bus.Range{From: bus.From{After: all[99].At}}, numbers(101, n)...)
	ds := f.fetch(t, src, n)
	equal(t, "the group", ids(ds), numbers(1, n))
	ack(t, ds[:20]...)
	f.info(t, src, "20 settled", func(i bus.Info) bool { return i.Unsettled == n-20 })
	f.reads(t, "what is left", bus.Range{}, numbers(21, n)...)
	ack(t, ds[20:]...)
	f.idle(t, src)
}

func readsDeleted(t *testing.T, f *fixture) {
	f.publish(t, events(8)...)
	all := f.read(t, "orders.>", bus.Range{})
	f.h.Delete(t, f.bus, all[2].At.Sequence, all[3].At.Sequence, all[7].At.Sequence)
	f.reads(t, "with events deleted", bus.Range{}, "1", "2", "5", "6", "7")
	f.reads(t, "after a deleted event", bus.Range{From: bus.From{After: all[3].At}}, "5", "6", "7")
	f.reads(t, "from a deleted event's time", bus.Range{From: bus.From{Time: all[3].At.Stored}}, "5", "6", "7")
	f.reads(t, "until a deleted event", bus.Range{Until: bus.Until{Position: all[3].At}}, "1", "2")
}

// readDropped reads to the end, and returns the ids with what was dropped between them.
func (f *fixture) readDropped(t *testing.T, r bus.Range, during func(seen int)) string {
	t.Helper()
	var got []string
	for s, err := range f.reader(t).Read(t.Context(), "orders.>", r) {
		dropped, ok := errors.AsType[*bus.DroppedError](err)
		switch {
		case ok && dropped.Count() != dropped.Last-dropped.First+1:
			t.Errorf("%v counts %d", dropped, dropped.Count())
		case ok:
			got = append(got, fmt.Sprintf("(%d-%d)", dropped.First, dropped.Last))
		case err != nil:
			t.Fatalf("Read after %q: %v", got, err)
		default:
			got = append(got, s.Event.ID)
		}
		if during != nil {
			during(len(got))
		}
	}
	return strings.Join(got, " ")
}

func reportsDropped(t *testing.T, f *fixture) {
	f.publish(t, events(5)...)
	second := f.read(t, "orders.>", bus.Range{})[1].At
	more := func(from, to int) {
		for _, id := range numbers(from, to) {
			f.publish(t, event(id))
		}
	}
	more(6, 9)
	if got, want := f.readDropped(t, bus.Range{From: bus.From{After: second}}, nil), "(3-4) 5 6 7 8 9"; got != want {
		t.Errorf("resumed: %s; want %s", got, want)
	}
	if got, want := f.readDropped(t, bus.Range{}, nil), "5 6 7 8 9"; got != want {
		t.Errorf("from the earliest: %s; want %s: nobody has a claim on what was dropped before", got, want)
	}
	more(10, 20)
	if got, want := f.readDropped(t, bus.Range{From: bus.From{After: second}}, nil), "(3-15) 16 17 18 19 20"; got != want {
		t.Errorf("resumed later: %s; want %s", got, want)
	}
}

func reportsPurged(t *testing.T, f *fixture) {
	const n = 2_600
	f.publish(t, events(n)...)
	purged := false
	got := f.readDropped(t, bus.Range{}, func(seen int) {
		if seen == 10 && !purged {
			purged = true
			f.h.Purge(t, f.bus)
		}
	})
	fields := strings.Fields(got)
	last := fields[len(fields)-1]
	read, err := strconv.Atoi(fields[len(fields)-2])
	if want := fmt.Sprintf("(%d-%d)", read+1, n); err != nil || last != want || !slices.Equal(fields[:read], numbers(1, read)) {
		t.Errorf("the read ended with %s, %v after event %d; want %s", last, err, read, want)
	}
}

func readsReplaced(t *testing.T, f *fixture) {
	f.publish(t, events(5)...)
	at := f.read(t, "orders.>", bus.Range{})[1].At
	var last error
	seen := 0
	for _, err := range f.reader(t).Read(t.Context(), "orders.>", bus.Range{Until: bus.Until{Follow: true}}) {
		if last = err; err != nil {
			break
		}
		if seen++; seen == 5 {
			f.h.Recreate(t, f.bus)
			receipts := f.publish(t, events(20)[10:]...)
			if f.h.Delete != nil { // Then nothing shows it but the stream's own identity.
				for _, r := range receipts[:5] {
					f.h.Delete(t, f.bus, r.Sequence)
				}
			}
		}
	}
	if seen != 5 || !errors.Is(last, bus.ErrStreamReplaced) {
		t.Errorf("after %d events: %v; want ErrStreamReplaced after 5", seen, last)
	}
	f.endsWith(t, "orders.>", bus.Range{From: bus.From{After: at}}, bus.ErrStreamReplaced)
	f.endsWith(t, "orders.>", bus.Range{Until: bus.Until{Position: at}}, bus.ErrStreamReplaced)
}

func readsRestored(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	restore := f.h.Snapshot(t, f.bus)
	f.publish(t, event("4"), event("5"))
	all := f.read(t, "orders.>", bus.Range{})
	restore(t)
	f.endsWith(t, "orders.>", bus.Range{From: bus.From{After: all[4].At}}, bus.ErrStreamReplaced)
	pause()
	f.publish(t, event("new 4"), event("new 5"), event("new 6"))
	f.endsWith(t, "orders.>", bus.Range{From: bus.From{After: all[4].At}}, bus.ErrStreamReplaced)
	f.reads(t, "after what the copy has", bus.Range{From: bus.From{After: all[2].At}}, "new 4", "new 5", "new 6")
}

func readsRestarted(t *testing.T, f *fixture) {
	const n = 3_000
	f.publish(t, events(n)...)
	var got []string
	for s, err := range f.reader(t).Read(t.Context(), "orders.>", bus.Range{}) {
		if err != nil {
			t.Fatalf("Read after %d events: %v", len(got), err)
		}
		if got = append(got, s.Event.ID); len(got) == 20 {
			f.h.Restart(t, f.bus)
		}
	}
	equal(t, "read over a restart", got, numbers(1, n))
}
