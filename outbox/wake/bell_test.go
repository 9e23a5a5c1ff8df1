package wake

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/internal/natstest"
)

// heard watches a bell until the test ends, and tells of each wake.
func heard(ctx context.Context, t *testing.T, b *Bell) (wakes chan struct{}, ended chan error) {
	t.Helper()
	wakes, ended = make(chan struct{}, 1<<16), make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() { ended <- b.Watch(ctx, func() { wakes <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return wakes, ended
}

func newBell(t *testing.T, nc *nats.Conn, name ...string) *Bell {
	t.Helper()
	b, err := New(nc, name...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ring(t *testing.T, b *Bell) {
	t.Helper()
	if err := b.Ring(); err != nil {
		t.Fatal(err)
	}
}

// await rings until somebody has heard it: when he began to listen nobody knows.
func await(t *testing.T, b *Bell, wakes <-chan struct{}) {
	t.Helper()
	for again := time.NewTicker(10 * time.Millisecond); ; {
		ring(t, b)
		select {
		case <-wakes:
			again.Stop()
			return
		case <-again.C:
		case <-t.Context().Done():
			t.Fatal("nobody has heard it")
		}
	}
}

func flush(t *testing.T, nc *nats.Conn) {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestRingIsHeardByAllOfTheOutbox(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	writes, listens := server.Connect(t), server.Connect(t)
	writer := newBell(t, writes, "db", "outbox")
	one, _ := heard(t.Context(), t, newBell(t, server.Connect(t), "db", "outbox"))
	two, _ := heard(t.Context(), t, newBell(t, server.Connect(t), "db", "outbox"))
	deaf, err := listens.SubscribeSync(newBell(t, listens, "db", "other").Subject())
	if err != nil {
		t.Fatal(err)
	}
	flush(t, listens)
	await(t, writer, one)
	await(t, writer, two)
	flush(t, writes)
	flush(t, listens) // now all that was rung has arrived
	if n, _, err := deaf.Pending(); n > 0 || err != nil {
		t.Errorf("another outbox was woken %d times, %v", n, err)
	}
}

// A writer that rings often does not keep drainers from their work, and the last ring is heard.
func TestRingsCloseToEachOtherAreOne(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	b := newBell(t, nc, "outbox")
	wakes, _ := heard(t.Context(), t, b)
	await(t, b, wakes)
	const rings = 20_000
	began := time.Now()
	for range rings {
		ring(t, b)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	most := int(time.Since(began)/gap) + 10
	n := 0
	for over := time.After(200 * time.Millisecond); over != nil; { // nothing tells that no more come
		select {
		case <-wakes:
			n++
		case <-over:
			over = nil
		}
	}
	if n == 0 || n > most {
		t.Errorf("%d rings woke %d times, want 1 to %d", rings, n, most)
	}
	ring(t, b)
	<-wakes
}

// What is rung while a drainer looks for rows may be about one that it has just
// missed: it is heard.
func TestRingDuringAWakeIsHeard(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	b := newBell(t, nc, "outbox")
	ctx, cancel := context.WithCancel(t.Context())
	wakes, ended := 0, make(chan error, 1)
	woken := make(chan struct{}, 1)
	go func() {
		ended <- b.Watch(ctx, func() {
			switch wakes++; wakes {
			case 1:
				woken <- struct{}{}
				ring(t, b)
				if err := nc.Flush(); err != nil { // it has come back
					t.Error(err)
				}
			case 2:
				cancel()
			}
		})
	}()
	for again := time.NewTicker(10 * time.Millisecond); ; {
		ring(t, b)
		select {
		case <-woken:
			again.Stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			return
		case <-again.C: // nobody listened yet
		}
	}
}

func TestWatchEndsWithItsContextAndItsConnection(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	nc := server.Connect(t)
	b := newBell(t, nc, "outbox")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Watch(ctx, func() {}) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	go func() { ended <- b.Watch(t.Context(), func() {}) }()
	nc.Close()
	if err := <-ended; !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("%v, want %v", err, nats.ErrConnectionClosed)
	}
	if err := b.Ring(); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("%v, want %v", err, nats.ErrConnectionClosed)
	}
}

func TestNewRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	if _, err := New(nil, "outbox"); err == nil {
		t.Error("a bell without a connection")
	}
	if _, err := New(&nats.Conn{}); err == nil {
		t.Error("a bell without a name")
	}
}
