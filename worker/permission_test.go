package worker

import (
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/outbox/notify"
)

// logLines hands over what a logger writes.
type logLines struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{}
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	select {
	case l.more <- struct{}{}:
	default: // it was told
	}
	return len(p), nil
}

// until waits for a line with the text, and returns all lines up to then.
func (l *logLines) until(t *testing.T, text string) []string {
	t.Helper()
	for hangs := time.After(time.Minute); ; {
		l.mu.Lock()
		lines := l.lines
		l.mu.Unlock()
		for _, line := range lines {
			if strings.Contains(line, text) {
				return lines
			}
		}
		select {
		case <-l.more:
		case <-hangs:
			t.Fatalf("no %q in %q", text, lines)
		}
	}
}

// A writer that may not wake drainers adds its rows all the same: that it may not is said once, and
// not with each row.
func TestPermissionThatLacksIsLoggedOnce(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "writer", Password: "x", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"onceish.outbox.>"}},
		}}}
	})
	at, err := url.Parse(s.URL())
	must(t, err)
	at.User = url.UserPassword("writer", "x")
	log := &logLines{more: make(chan struct{}, 1)}
	c, err := Connect(t.Context(), &ConnectOptions{NATS: at.String(), Logger: slog.New(slog.NewTextHandler(log, nil))})
	must(t, err)
	defer func() { must(t, c.Close()) }()
	for i, name := range []string{"rows", "last"} {
		notifier, err := notify.New(c.NATS(), "shop", name)
		must(t, err)
		for range 50 - 49*i {
			must(t, notifier.Notify())
		}
	}
	if lines := log.until(t, "shop.last"); len(lines) != 2 {
		t.Errorf("%d lines for two permissions: %s", len(lines), lines[:min(len(lines), 3)])
	}
}
