package flowtest

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/internal/backoff"
)

// syncBuffer is what was logged.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *syncBuffer) count(text string) int { return strings.Count(b.String(), text) }

// await fails if something is not so within half a minute, of which a loaded machine needs little.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("waited in vain for %s", what)
		}
		_ = backoff.Sleep(t.Context(), 10*time.Millisecond)
	}
}

var errBroken = errors.New("broken on purpose")

// failsOpen breaks the store over and over: each process starts its share, and the flapping gives
// it no more.
func failsOpen(t *testing.T, h *Harness, open Open) {
	var log syncBuffer
	store := NewFaults(open(0))
	store.Fail(errBroken) // from the start: no constructor minds
	const share = 25
	l := limiter(t, store, flow.Rate{Limit: share * members, Per: time.Hour},
		&flow.SharedOptions{Members: fourMembers, Timeout: flow.MaxTimeout, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	breaks := []func(){store.Hang, func() { store.Fail(errBroken) }}
	local := 0
	const flaps = 6
	for i := range flaps {
		breaks[i%2]()
		local += startUntilDown(t, h, l)
		begin := time.Now()
		for range 2 * share {
			if allow(t, l, "key", 1).Allowed {
				local++
			}
		}
		if d := time.Since(begin); h.Virtual && d != 0 {
			t.Errorf("in an outage %d calls took %v, want them answered without the store", 2*share, d)
		}
		if log.count("cannot be used") != i+1 || log.count("used again") != i {
			t.Fatalf("outage %d is not logged once:\n%s", i+1, log.String())
		}
		store.Fail(nil)
		await(t, "the store to be used again", func() bool {
			allow(t, l, "key", 1)
			return !l.Stats().Down
		})
	}
	if stats := l.Stats(); stats.Outages != flaps || local > share || local == 0 {
		t.Errorf("%+v and %d local starts of a key, want %d outages, and at most %d starts in all of them", stats, local, flaps, share)
	}
}

// startUntilDown makes calls until one finds that the store is gone. None may take longer than the
// time-out. It returns how many starts of "key" found it; other keys are asked for if that one is
// known to be refused.
func startUntilDown(t *testing.T, h *Harness, l *flow.Shared) (local int) {
	t.Helper()
	for try := 0; !l.Stats().Down; try++ {
		key := "key" + strings.Repeat("+", try)
		begin := time.Now()
		d := allow(t, l, key, 1)
		if took := time.Since(begin); h.Virtual && took > flow.MaxTimeout {
			t.Errorf("a call took %v, want at most %v", took, flow.MaxTimeout)
		}
		if d.Allowed && try == 0 && l.Stats().Down {
			local++
		}
	}
	return local
}

func failsClosed(t *testing.T, _ *Harness, open Open) {
	store := NewFaults(open(0))
	l := limiter(t, store, flow.Rate{Limit: 1000, Per: time.Second}, &flow.SharedOptions{OnOutage: flow.FailClosed, Timeout: flow.MaxTimeout, Logger: slog.New(slog.DiscardHandler)})
	store.Fail(errBroken)
	for range 10 {
		if d := allow(t, l, "key", 1); d.Allowed || d.RetryAfter <= 0 || d.RetryAfter > time.Second {
			t.Errorf("%+v, want a refusal that says when the store is tried", d)
		}
	}
	store.Fail(nil)
	await(t, "a start once the store is back", func() bool { return allow(t, l, "key", 1).Allowed })
	if n := l.Stats().LocalStarts; n != 0 {
		t.Errorf("%d starts without the store", n)
	}
}
