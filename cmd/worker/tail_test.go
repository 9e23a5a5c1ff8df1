package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// tailed is what a tail of so many events of a bus prints.
func tailed(t *testing.T, url string, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, log strings.Builder
	args = append([]string{"worker", "tail", "--nats", url, "--from", "2000-01-01T00:00:00Z"}, args...)
	if code := execArgs(t.Context(), args, strings.NewReader(""), &out, &log); code != 0 {
		t.Fatalf("exit status %d: %s", code, log.String())
	}
	return out.String(), log.String()
}

func newStream(t *testing.T) (*natstest.Server, *natsbus.Bus) {
	t.Helper()
	s := natstest.Start(t, nil)
	b, err := natsbus.New(s.Connect(t), &natsbus.Options{Provision: &natsbus.Provision{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if _, err := b.Subscribe(t.Context(), "t", "g", &bus.SubscribeOptions{}); err != nil {
		t.Fatal(err)
	}
	return s, b
}

func publishEvents(t *testing.T, b bus.Bus, events ...bus.Event) {
	t.Helper()
	if _, err := b.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

// harmless wants a text to have nothing that moves, colours or turns round what a terminal shows.
func harmless(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			t.Errorf("printed %q: %q", r, text)
		}
	}
}

// Nothing in an event moves, colours or turns round what a terminal shows.
func TestTailPrintsNothingThatATerminalObeys(t *testing.T) {
	t.Parallel()
	s, b := newStream(t)
	const hostile = "\x1b[2J\u202e\u009bx\r\ny"
	publishEvents(t, b,
		bus.Event{ID: hostile, Topic: "t", Key: hostile, Type: hostile, Data: []byte(hostile), Headers: bus.Headers{"Tenant": {"\u009b\u202e\x1b"}}},
		bus.Event{ID: strings.Repeat("long", 500), Topic: "t", Data: []byte{0xff, 0x1b}})
	for _, format := range []string{"text", "json"} {
		out, _ := tailed(t, s.URL(), "-n", "2", "--headers", "-o", format, "t")
		harmless(t, out)
		if format == "text" && (!strings.Contains(out, "    Tenant: ") || !strings.HasSuffix(out, "  2 B  ff1b\n") || strings.Count(out, "\n") != 3) {
			t.Errorf("printed %q", out)
		}
	}
}

// What the stream dropped before it was read is not left out in silence.
func TestTailReportsDroppedEvents(t *testing.T) {
	t.Parallel()
	s, b := newStream(t)
	publishEvents(t, b, bus.Event{ID: "1", Topic: "t"}, bus.Event{ID: "2", Topic: "t"}, bus.Event{ID: "3", Topic: "t"})
	var first bus.Position
	for e, err := range b.Read(t.Context(), "t", bus.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		first = e.At
		break
	}
	if _, err := s.Connect(t).Request("$JS.API.STREAM.PURGE."+natsbus.StreamName("t"), []byte(`{"seq":3}`), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	var out, log strings.Builder
	args := []string{"worker", "tail", "--nats", s.URL(), "--after", first.String(), "-n", "1", "t"}
	if code := execArgs(t.Context(), args, strings.NewReader(""), &out, &log); code != 0 {
		t.Fatalf("exit status %d: %s", code, log.String())
	}
	if !strings.Contains(out.String(), "  t  3  ") || !strings.Contains(log.String(), "dropped up to 1 events before they were read: sequences 2 to 2") {
		t.Errorf("printed %q and %q", out.String(), log.String())
	}
}

// A tail begins behind what is stored, prints what is stored then, and an interrupt is its end.
func TestTailFollowsUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("t", `{"id":"1"}`)
	out, err := os.Create(h.path("out"))
	if err != nil {
		t.Fatal(err)
	}
	h.stdout = out
	tail := h.start("tail", "t")
	for stop := time.Now().Add(time.Minute); time.Now().Before(stop); {
		h.publish("t", `{"n":2}`) // with an id of its own, until the tail has begun
		if data, err := os.ReadFile(h.path("out")); err == nil && len(data) > 0 {
			break
		}
	}
	tail.signal(syscall.SIGINT)
	tail.exits(0)
	if printed := h.wait("out"); !strings.Contains(printed, `{"n":2}`) || strings.Contains(printed, "  t  1  ") {
		t.Errorf("printed %q", printed)
	}
}
