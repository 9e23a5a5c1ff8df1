package notify

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/internal/testing/natstest"
)

// watch watches a notifier until the test ends, and passes each wake on.
func watch(ctx context.Context, t *testing.T, b *Notifier) (wakes chan struct{}, ended chan error) {
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

func newNotifier(t *testing.T, nc *nats.Conn, name ...string) *Notifier {
	t.Helper()
	b, err := New(nc, name...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func notify(t *testing.T, b *Notifier) {
	t.Helper()
	if err := b.Notify(); err != nil {
		t.Fatal(err)
	}
}

// awaitWatcher notifies until somebody is woken: nobody knows when a watcher has subscribed.
func awaitWatcher(t *testing.T, b *Notifier, wakes <-chan struct{}) {
	t.Helper()
	for again := time.NewTicker(10 * time.Millisecond); ; {
		notify(t, b)
		select {
		case <-wakes:
			again.Stop()
			return
		case <-again.C:
		case <-t.Context().Done():
			t.Fatal("nobody was woken")
		}
	}
}

func flush(t *testing.T, nc *nats.Conn) {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestNotificationWakesAllOfTheOutbox(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	writes, listens := server.Connect(t), server.Connect(t)
	writer := newNotifier(t, writes, "db", "outbox")
	one, _ := watch(t.Context(), t, newNotifier(t, server.Connect(t), "db", "outbox"))
	two, _ := watch(t.Context(), t, newNotifier(t, server.Connect(t), "db", "outbox"))
	other, err := listens.SubscribeSync(newNotifier(t, listens, "db", "other").Subject())
	if err != nil {
		t.Fatal(err)
	}
	flush(t, listens)
	awaitWatcher(t, writer, one)
	awaitWatcher(t, writer, two)
	flush(t, writes)
	flush(t, listens) // now all notifications have arrived
	if n, _, err := other.Pending(); n > 0 || err != nil {
		t.Errorf("another outbox was woken %d times, %v", n, err)
	}
}

// A writer that notifies often does not keep drainers from their work, and the last one wakes them.
func TestNotificationsCloseToEachOtherAreOne(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	b := newNotifier(t, nc, "outbox")
	wakes, _ := watch(t.Context(), t, b)
	awaitWatcher(t, b, wakes)
	const sent = 20_000
	began := time.Now()
	for range sent {
		notify(t, b)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	most := int(time.Since(began)/minInterval) + 10
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
		t.Errorf("%d notifications woke %d times, want 1 to %d", sent, n, most)
	}
	notify(t, b)
	<-wakes
}

// A notification that comes while a drainer looks for rows may be about one that it has just
// missed: it wakes the drainer again.
func TestNotificationDuringAWakeIsNotLost(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	b := newNotifier(t, nc, "outbox")
	ctx, cancel := context.WithCancel(t.Context())
	wakes, ended := 0, make(chan error, 1)
	woken := make(chan struct{}, 1)
	go func() {
		ended <- b.Watch(ctx, func() {
			switch wakes++; wakes {
			case 1:
				woken <- struct{}{}
				notify(t, b)
				if err := nc.Flush(); err != nil { // it has come back
					t.Error(err)
				}
			case 2:
				cancel()
			}
		})
	}()
	for again := time.NewTicker(10 * time.Millisecond); ; {
		notify(t, b)
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
	b := newNotifier(t, nc, "outbox")
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
	if err := b.Notify(); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("%v, want %v", err, nats.ErrConnectionClosed)
	}
}

func TestNewRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	if _, err := New(nil, "outbox"); err == nil {
		t.Error("a notifier without a connection")
	}
	if _, err := New(&nats.Conn{}); err == nil {
		t.Error("a notifier without a name")
	}
}
