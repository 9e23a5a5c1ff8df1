package replay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/replay"
)

const topic = "orders.>"

func newBus(t testing.TB, maxEvents int) *membus.Bus {
	t.Helper()
	b, err := membus.New(&membus.Options{Streams: []membus.Stream{{Name: "orders", Topics: []string{topic}, MaxEvents: maxEvents}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func publish(t testing.TB, b bus.Publisher, events ...bus.Event) {
	t.Helper()
	if _, err := b.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func numbered(n int) []bus.Event {
	events := make([]bus.Event, n)
	for i := range events {
		events[i] = bus.Event{ID: strconv.Itoa(i), Topic: "orders.new", Data: []byte("payload")}
	}
	return events
}

func export(t testing.TB, b bus.Reader, r bus.Range) (string, replay.Exported) {
	t.Helper()
	var out bytes.Buffer
	n, err := replay.Export(t.Context(), b, topic, r, &out, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), n
}

var positions = regexp.MustCompile(`"stream(sequence|time)":"[^"]*",?`)

func TestWhatIsExportedAndImportedIsExportedTheSame(t *testing.T) {
	t.Parallel()
	from, to := newBus(t, 0), newBus(t, 0)
	events := append(numbered(300),
		bus.Event{
			ID: "full", Topic: "orders.eu.changed", Key: "k", Type: "order.changed", Source: "/shops/12", Time: time.Date(2024, 2, 29, 1, 2, 3, 4, time.UTC),
			ContentType: "application/json", Data: []byte(`{"cents": 5}`), Headers: bus.Headers{"Repeated": {"a", "b"}, "traceparent": {"00-1"}},
		},
		bus.Event{ID: "full", Topic: "orders.eu.new", Data: []byte{0, 255}},
		bus.Event{ID: "full", Topic: "orders.eu.new", Source: "/shops/13", ContentType: "text/plain", Data: []byte("line\nbreak")},
		bus.Event{ID: "letter", Topic: "orders.dead", Data: []byte("x")}.WithControl(bus.Control{Letter: "g/1"}),
	)
	publish(t, from, events...)
	first, n := export(t, from, bus.Range{})
	if n.Events != len(events) || strings.Count(first, "\n") != len(events) {
		t.Fatalf("%+v, %d lines; want %d", n, strings.Count(first, "\n"), len(events))
	}
	for range 2 { // The second import repeats the first.
		imported, err := replay.Import(t.Context(), to, strings.NewReader(first), nil)
		if err != nil || imported.Stored != len(events) || imported.Refused != 0 {
			t.Fatalf("%+v, %v; want %d stored", imported, err, len(events))
		}
	}
	second, _ := export(t, to, bus.Range{})
	if a, b := positions.ReplaceAllString(first, ""), positions.ReplaceAllString(second, ""); a != b {
		t.Errorf("exported\n%s\nand then\n%s", a, b)
	}
}

func TestAnExportThatWasInterruptedIsContinued(t *testing.T) {
	t.Parallel()
	b := newBus(t, 0)
	publish(t, b, numbered(3_000)...)
	whole, _ := export(t, b, bus.Range{})
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	first, err := replay.Export(ctx, b, topic, bus.Range{}, &out, &replay.ExportOptions{Progress: func(replay.Exported) { cancel() }})
	cancel()
	if !errors.Is(err, context.Canceled) || first.Events == 0 || first.Events == 3_000 || strings.Count(out.String(), "\n") != first.Events {
		t.Fatalf("%+v, %v, %d lines; want a part, and context.Canceled", first, err, strings.Count(out.String(), "\n"))
	}
	rest, second := export(t, b, bus.Range{From: bus.From{After: first.Last}})
	if out.WriteString(rest); out.String() != whole || first.Events+second.Events != 3_000 {
		t.Errorf("%d and %d events; want all, each once", first.Events, second.Events)
	}
}

func TestAnExportReportsWhatWasDropped(t *testing.T) {
	t.Parallel()
	b := newBus(t, 10)
	publish(t, b, numbered(10)...)
	_, n := export(t, b, bus.Range{Until: bus.Until{Time: time.Now().Add(-time.Hour)}})
	if n.Events != 0 || n.Last != (bus.Position{}) {
		t.Fatalf("%+v; want nothing", n)
	}
	var out bytes.Buffer
	first := true
	var at bus.Position
	for s, err := range b.Read(t.Context(), topic, bus.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		if first {
			at, first = s.At, false
		}
	}
	publish(t, b, numbered(20)[10:]...)
	n, err := replay.Export(t.Context(), b, topic, bus.Range{From: bus.From{After: at}}, &out, nil)
	if !errors.Is(err, replay.ErrIncomplete) || n.Dropped != 9 || n.Events != 10 || strings.Count(out.String(), "\n") != 10 {
		t.Errorf("%+v, %v; want 10 events, 9 dropped, ErrIncomplete", n, err)
	}
}

// A publisher of another kind has stored text that is not UTF-8: what lies behind it is exported.
func TestAnExportGoesOnBehindWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	b := newBus(t, 0)
	events := numbered(3)
	events[1].Headers = bus.Headers{"X": {"\xff"}}
	publish(t, b, events...)
	var out bytes.Buffer
	var failed []uint64
	n, err := replay.Export(t.Context(), b, topic, bus.Range{}, &out, &replay.ExportOptions{
		Failed: func(at bus.Position, _ error) { failed = append(failed, at.Sequence) },
	})
	if !errors.Is(err, replay.ErrIncomplete) || n.Events != 2 || n.Unwritten != 1 || n.Last.Sequence != 3 || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%+v, %v, %q; want 2 events, 1 unwritten, ErrIncomplete", n, err, out.String())
	}
	if !slices.Equal(failed, []uint64{2}) {
		t.Errorf("failed: %v; want sequence 2", failed)
	}
}

// torn takes so many bytes.
type torn struct{ left, lines int }

var errFull = errors.New("disk full")

func (w *torn) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, errFull
	}
	w.left -= len(p)
	w.lines += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

func TestAnExportReturnsThePositionThatWasWritten(t *testing.T) {
	t.Parallel()
	b := newBus(t, 0)
	publish(t, b, numbered(3_000)...)
	w := &torn{left: 200_000}
	n, err := replay.Export(t.Context(), b, topic, bus.Range{}, w, nil)
	if !errors.Is(err, errFull) || n.Events == 0 || n.Last.Sequence != uint64(n.Events) || n.Events != w.lines {
		t.Errorf("%+v, %v; want what the writer took", n, err)
	}
	if _, err := replay.Export(t.Context(), b, topic, bus.Range{HeadersOnly: true}, &torn{}, nil); err == nil {
		t.Error("headers only were exported")
	}
}

func TestAnExportThatFollowsWritesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 0)
		ctx, cancel := context.WithCancel(t.Context())
		var seen []int
		done := make(chan error)
		go func() {
			_, err := replay.Export(ctx, b, topic, bus.Range{Until: bus.Until{Follow: true}}, &torn{left: 1 << 20}, &replay.ExportOptions{
				Progress: func(n replay.Exported) { seen = append(seen, n.Events) },
			})
			done <- err
		}()
		for _, e := range numbered(3) {
			publish(t, b, e)
			synctest.Wait()
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || !slices.Equal(seen, []int{1, 2, 3}) {
			t.Errorf("%v, progress %v; want one event at a time", err, seen)
		}
	})
}

func TestAnImportLosesNothingAfterABadLine(t *testing.T) {
	t.Parallel()
	from, to := newBus(t, 0), newBus(t, 0)
	publish(t, from, numbered(6)...)
	text, _ := export(t, from, bus.Range{})
	lines := strings.SplitAfter(text, "\n")
	lines[1] = "no event\n"
	lines[3] = lines[3][:20] + "\n"                   // cut
	lines[4] = "\n" + lines[4]                        // an empty line counts
	last := strings.TrimSuffix(lines[5], "\n")        // no end
	lines[5] = last + "\n" + last[:len(last)-30] + "" // cut at the end of the file
	var refused []int
	n, err := replay.Import(t.Context(), to, strings.NewReader(strings.Join(lines, "")), &replay.ImportOptions{
		Refused: func(line int, _ error) { refused = append(refused, line) },
	})
	if !errors.Is(err, replay.ErrNotStored) || n != (replay.Imported{Stored: 4, Refused: 3}) || !slices.Equal(refused, []int{2, 4, 8}) {
		t.Errorf("%+v, %v, refused lines %v; want 2, 4 and 8", n, err, refused)
	}
	var ids []string
	for s, err := range to.Read(t.Context(), topic, bus.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.Event.ID)
	}
	if !slices.Equal(ids, []string{"0", "2", "4", "5"}) {
		t.Errorf("%q were stored", ids)
	}
}

func TestAnImportPreparesEachTopicOnce(t *testing.T) {
	t.Parallel()
	from, to := newBus(t, 0), newBus(t, 0)
	publish(t, from, bus.Event{ID: "1", Topic: "orders.a"}, bus.Event{ID: "2", Topic: "orders.b"}, bus.Event{ID: "3", Topic: "orders.a"}, bus.Event{ID: "4", Topic: "orders.b"})
	text, _ := export(t, from, bus.Range{})
	var topics []string
	n, err := replay.Import(t.Context(), to, strings.NewReader(text), &replay.ImportOptions{Prepare: func(_ context.Context, topic string) error {
		if topics = append(topics, topic); topic == "orders.b" {
			return bus.ErrNoStream
		}
		return nil
	}})
	if want := []string{"orders.a", "orders.b"}; !errors.Is(err, replay.ErrNotStored) || n != (replay.Imported{Stored: 2, Refused: 2}) || !slices.Equal(topics, want) {
		t.Errorf("%+v, %v, prepared %q; want %q, and 2 of 4 stored", n, err, topics, want)
	}
}

func ExampleExport() {
	b, err := membus.New(&membus.Options{Streams: []membus.Stream{{Name: "orders", Topics: []string{"orders.>"}}}})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	_, _ = b.Publish(ctx, bus.Event{ID: "1", Topic: "orders.new", Data: []byte(`{"total":42}`)})
	var file bytes.Buffer
	exported, err := replay.Export(ctx, b, "orders.>", bus.Range{}, &file, nil)
	fmt.Println(exported.Events, err)
	imported, err := replay.Import(ctx, b, &file, nil)
	fmt.Println(imported.Stored, imported.Duplicates, err)
	// Output:
	// 1 <nil>
	// 1 1 <nil>
}

// The bus remembers the ids of what was purged: it calls the lines duplicates, and has none.
func TestAnImportStoresAgainWhatWasPurged(t *testing.T) {
	t.Parallel()
	from, to := newBus(t, 0), newBus(t, 0)
	events := numbered(3)
	publish(t, from, events...)
	text, _ := export(t, from, bus.Range{})
	for _, want := range []replay.Imported{{Stored: 3}, {Stored: 3, Duplicates: 1}, {Stored: 3, Duplicates: 1}} {
		if n, err := replay.Import(t.Context(), to, strings.NewReader(text), nil); err != nil || n != want {
			t.Errorf("imported %+v, %v; want %+v", n, err, want)
		}
		var ids []string
		last, stream := uint64(0), ""
		for s, err := range to.Read(t.Context(), topic, bus.Range{}) {
			must(t, err)
			ids, last, stream = append(ids, s.Event.ID), s.At.Sequence, s.At.Stream
		}
		slices.Sort(ids)
		if !slices.Equal(ids, []string{"0", "1", "2"}) {
			t.Errorf("events %q are stored; want each once", ids)
		}
		stream, _, _ = strings.Cut(stream, "@")
		must(t, to.Delete(stream, last, last-1))
	}
}

func TestReplayToATopicStoresAgainWhatWasPurged(t *testing.T) {
	t.Parallel()
	b := newBus(t, 0)
	publish(t, b, numbered(3)...)
	for round := range 2 {
		n, err := replay.ToTopic(t.Context(), b, "orders.new", bus.Range{}, "orders.copy", nil)
		if err != nil || n.Stored != 3 || n.Duplicates != 0 {
			t.Errorf("round %d: %+v, %v; want 3 copies to be stored", round, n, err)
		}
		copies := 0
		var stream string
		for s, err := range b.Read(t.Context(), "orders.copy", bus.Range{}) {
			must(t, err)
			stream, _, _ = strings.Cut(s.At.Stream, "@")
			copies++
		}
		if copies != 3 {
			t.Errorf("round %d: %d copies are stored; want 3", round, copies)
			break
		}
		must(t, b.Purge(stream, "orders.copy"))
	}
}
