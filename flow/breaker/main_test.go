package breaker_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/flow/breaker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("connection refused")

// inBubble runs a test with a Breaker on fake time.
func inBubble(t *testing.T, o breaker.Options, test func(*testing.T, *breaker.Breaker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, o)
		defer b.Close()
		test(t, b)
	})
}

func newBreaker(t *testing.T, o breaker.Options) *breaker.Breaker {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	b, err := breaker.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tryEnter returns nil if it would have to wait.
func tryEnter(b *breaker.Breaker, key ...string) (leave func(error)) {
	ended, cancel := context.WithCancel(context.WithValue(context.Background(), testKey{}, strings.Join(key, "")))
	cancel()
	leave, _ = b.Enter(ended)
	return leave
}

type testKey struct{}

func testKeyOf(ctx context.Context) string {
	key, _ := ctx.Value(testKey{}).(string)
	return key
}

// mustEnter must not have to wait.
func mustEnter(t *testing.T, b *breaker.Breaker, key ...string) (leave func(error)) {
	t.Helper()
	leave = tryEnter(b, key...)
	if leave == nil {
		c, _ := b.Capacity()
		t.Fatalf("no run may enter: %v, %+v", b.State(), c)
	}
	return leave
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// open fails as many runs as the defaults allow.
func open(t *testing.T, b *breaker.Breaker) {
	t.Helper()
	for range 5 {
		mustEnter(t, b)(errDown)
	}
	wantState(t, b, breaker.Open, 0)
}

func wantState(t *testing.T, b *breaker.Breaker, s breaker.State, limit int) {
	t.Helper()
	synctest.Wait()
	if c, _ := b.Capacity(); b.State() != s || c.Limit != limit {
		t.Fatalf("the breaker is %v with %+v, not %v with a limit of %d", b.State(), c, s, limit)
	}
}

// waitHalfOpen sleeps until an open breaker is half-open, and returns how long that took.
func waitHalfOpen(t *testing.T, b *breaker.Breaker) time.Duration {
	t.Helper()
	begin := time.Now()
	for b.State() == breaker.Open {
		_, changed := b.Capacity()
		select {
		case <-changed:
		case <-time.After(24 * time.Hour):
			t.Fatal("the breaker stays open")
		}
	}
	return time.Since(begin)
}
