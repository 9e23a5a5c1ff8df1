package acceptance

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"runtime/metrics"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/replay"
)

// heldAtMost is how much larger the live heap of an export or an import may get than it was. What
// they move is many times as large.
const heldAtMost = 64 << 20

// liveHeap is how many bytes were reachable at the end of the last garbage collection.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// heapWatch notes the largest live heap.
type heapWatch struct{ before, most uint64 }

func watchHeap() *heapWatch {
	now := liveHeap()
	return &heapWatch{before: now, most: now}
}

func (w *heapWatch) look() { w.most = max(w.most, liveHeap()) }

func (w *heapWatch) check(t *testing.T) {
	t.Helper()
	t.Logf("live heap: %d MiB before, %d MiB at most", w.before>>20, w.most>>20)
	if w.most > w.before+heldAtMost {
		t.Errorf("the live heap grew by %d MiB; want %d at most", (w.most-w.before)>>20, heldAtMost>>20)
	}
}

// lineCheck reads what is exported, and calls at, if there is one, after every ten thousand lines.
type lineCheck struct {
	t     *testing.T
	heap  *heapWatch
	lines int
	at    func(lines int)
	rest  []byte
}

func (c *lineCheck) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		end := bytes.IndexByte(c.rest, '\n')
		if end < 0 {
			return len(p), nil
		}
		if want := fmt.Appendf(nil, `{"specversion":"1.0","id":"%d",`, c.lines); !bytes.HasPrefix(c.rest, want) {
			c.t.Fatalf("line %d is %.100s; want %s", c.lines+1, c.rest, want)
		}
		c.rest = c.rest[end+1:]
		if c.lines++; c.lines%10_000 == 0 {
			c.heap.look()
			if c.at != nil {
				c.at(c.lines)
			}
		}
	}
}

// TestAnExportOfAMillionEventsIsWholeAndHoldsFew. Not parallel: it looks at the heap of this
// process.
func TestAnExportOfAMillionEventsIsWholeAndHoldsFew(t *testing.T) {
	const events = 1_000_000
	url := natstest.StartVersion(t, natsbus.OldestServer).URL() // a process without the race detector
	b, js := busWithStream(t, url, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	fillOrders(t, js, events)
	out := &lineCheck{t: t, heap: watchHeap()}
	exportOrders(t, b, out, events)
	out.heap.check(t)
}

func TestAnExportIsWholeThoughNATSIsKilled(t *testing.T) {
	t.Parallel()
	const events = 30_000
	server := natstest.StartProcess(t)
	b, js := busWithStream(t, server.URL(), jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	fillOrders(t, js, events)
	exportOrders(t, b, &lineCheck{t: t, heap: watchHeap(), at: func(lines int) {
		if lines == events/3 {
			server.Kill()
			server.Start(t)
		}
	}}, events)
}

// fillOrders stores events with the numbers from 0 on as their ids.
func fillOrders(t *testing.T, js jetstream.JetStream, events int) {
	t.Helper()
	const unconfirmed = 1_000 // the server drops what it cannot buffer
	for i := range events {
		m := &nats.Msg{Subject: "orders", Header: nats.Header{"ce-specversion": {"1.0"}, "ce-id": {strconv.Itoa(i)}}, Data: []byte("1")}
		if i%unconfirmed != unconfirmed-1 {
			must(t, js.Conn().PublishMsg(m))
			continue
		}
		stored, err := js.PublishMsg(t.Context(), m)
		must(t, err)
		if stored.Sequence != uint64(i+1) {
			t.Fatalf("event %d is stored as %d", i, stored.Sequence)
		}
	}
}

func exportOrders(t *testing.T, b *natsbus.Bus, out *lineCheck, events int) {
	t.Helper()
	done, err := replay.Export(t.Context(), b, "orders", bus.Range{}, out, nil)
	must(t, err)
	if done.Events != events || out.lines != events || done.Last.Sequence != uint64(events) {
		t.Errorf("exported %+v, and %d lines; want %d", done, out.lines, events)
	}
}

// importFlag: two gigabytes take three minutes under the race detector.
var importFlag = flag.Int("megabytes", 256, "how much is imported from a pipe")

// TestAnImportFromAPipeHoldsLittle. Not parallel: it looks at the heap of this process.
func TestAnImportFromAPipeHoldsLittle(t *testing.T) {
	const size = 64 << 10
	lines := *importFlag << 20 / size
	url := natstest.StartVersion(t, natsbus.OldestServer).URL()
	b, _ := busWithStream(t, url, jetstream.StreamConfig{
		Name: "orders", Subjects: []string{"orders"}, MaxMsgs: 100, Storage: jetstream.MemoryStorage, // the last few are enough
	})
	in, out := io.Pipe()
	go func() {
		w := bufio.NewWriter(out)
		text := bytes.Repeat([]byte{'x'}, size)
		for i := range lines {
			_, _ = fmt.Fprintf(w, `{"specversion":"1.0","id":"%d","source":"s","type":"t","topic":"orders","datacontenttype":"text/plain","data":"%s"}`+"\n", i, text)
		}
		_ = w.Flush() // the reader counts
		_ = out.Close()
	}()
	heap := watchHeap()
	done, err := replay.Import(t.Context(), b, in, &replay.ImportOptions{Progress: func(replay.Imported) { heap.look() }})
	must(t, err)
	if want := (replay.Imported{Stored: lines}); done != want {
		t.Errorf("imported %+v; want %+v", done, want)
	}
	heap.check(t)
}

// busWithStream is a bus on a server, with a stream.
func busWithStream(t *testing.T, url string, config jetstream.StreamConfig) (*natsbus.Bus, jetstream.JetStream) {
	t.Helper()
	nc := natstest.Connect(t, url, natsbus.ConnectionOptions(0)...)
	js, err := jetstream.New(nc)
	must(t, err)
	_, err = js.CreateStream(context.WithoutCancel(t.Context()), config)
	must(t, err)
	b, err := natsbus.New(nc, nil)
	must(t, err)
	t.Cleanup(b.Close)
	return b, js
}
