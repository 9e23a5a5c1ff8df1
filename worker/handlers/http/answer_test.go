package http

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/handlertest"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		value, date string
		want        time.Duration
	}{
		{"7", "", 7 * time.Second},
		{" 7 ", "", 7 * time.Second},
		{"3600", "", time.Hour},
		{"3601", "", time.Hour},
		{"4294967296", "", time.Hour},
		{strings.Repeat("9", 1_000), "", time.Hour},
		{"Fri, 02 Jan 2026 03:04:35 GMT", "", 30 * time.Second},
		{"Friday, 02-Jan-26 03:04:35 GMT", "", 30 * time.Second},
		{"Fri, 02 Jan 2026 03:04:35 GMT", "Fri, 02 Jan 2026 03:04:30 GMT", 5 * time.Second},
		{"Fri, 02 Jan 2026 03:04:35 GMT", "garbage", 30 * time.Second},
		{"Fri, 02 Jan 2099 03:04:35 GMT", "", time.Hour},
		{"Fri, 02 Jan 2026 03:04:05 GMT", "", 0},
		{"Fri, 02 Jan 2026 03:04:00 GMT", "", 0},
		{"", "", 0},
		{"0", "", 0},
		{"00", "", 0},
		{"-5", "", 0},
		{"+5", "", 0},
		{"1.5", "", 0},
		{"5s", "", 0},
		{"soon", "", 0},
		{"٣", "", 0},
	} {
		got, ok := parseRetryAfter(http.Header{"Retry-After": {c.value}, "Date": {c.date}}, now)
		if ok != (c.want > 0) || ok && got != c.want {
			t.Errorf("%.40q at %q: %v, %t, want %v", c.value, c.date, got, ok, c.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("7", "")
	f.Add("Fri, 02 Jan 2026 03:04:35 GMT", "Fri, 02 Jan 2026 03:04:30 GMT")
	f.Fuzz(func(t *testing.T, value, date string) {
		d, ok := parseRetryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, time.Now())
		if ok && (d <= 0 || d > maxRetryAfter) {
			t.Errorf("%q at %q: %v", value, date, d)
		}
	})
}

// TestHTTPRetryAfterIsHonoured through a subscription whose own backoff is a day.
func TestHTTPRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asked  string
		status int
		want   []time.Duration // from one request to the next
	}{
		{"20", 500, []time.Duration{20 * time.Second, 20 * time.Second, 20 * time.Second}},
		{"1", 500, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		{"1000000", 500, []time.Duration{time.Hour, time.Hour, time.Hour}},
		// Throttled events are spread over as much time again.
		{"20", 429, []time.Duration{20 * time.Second, 20 * time.Second, 20 * time.Second}},
		{"1", 503, []time.Duration{time.Second, time.Second, time.Second}},
		{"1000000", 429, []time.Duration{time.Hour, time.Hour, time.Hour}},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.asked), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var asked []time.Time
				subscribed(t, len(c.want)+1, func(w http.ResponseWriter, _ *http.Request) {
					asked = append(asked, time.Now())
					if len(asked) <= len(c.want) {
						w.Header().Set("Retry-After", c.asked)
						w.WriteHeader(c.status)
					}
				})
				for i, want := range c.want {
					most := want
					if c.status != 500 {
						most *= 2
					}
					// What is not due is held, in steps of up to 5 s.
					if got := asked[i+1].Sub(asked[i]); got < want || got > most+10*time.Second {
						t.Errorf("%v after request %d, want %v to %v", got, i+1, want, most)
					}
				}
			})
		})
	}
}

// subscribed has one event handled by a service, in a bubble, and returns when it was handled.
func subscribed(t *testing.T, attempts int, service http.HandlerFunc) {
	t.Helper()
	network := newPipes()
	s := &http.Server{Handler: service, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(network) }()
	defer s.Close()
	h := newHTTP(t, "http://pipes", nil)
	h.client.DialContext, h.client.Proxy = network.dial, nil
	defer h.Close()
	b, err := membus.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := memdedupe.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(handlertest.Finished, attempts)
	sub, err := consumer.SubscribeExactlyOnce(t.Context(), b, handlertest.Placed().Topic, "billing", store, h.Handle, &consumer.Options{
		Backoff:     consumer.Backoff{Base: 24 * time.Hour, Max: 24 * time.Hour},
		MaxAttempts: attempts, Logger: slog.New(slog.DiscardHandler), Observer: ended,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), handlertest.Placed()); err != nil {
		t.Fatal(err)
	}
	if outcome := <-ended; outcome != "handled" {
		t.Error(outcome)
	}
	if err := sub.Drain(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestHTTPRepeatIsKnownByItsKey: all attempts of an event carry one key, and another event another.
func TestHTTPRepeatIsKnownByItsKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said []string
		subscribed(t, 3, func(w http.ResponseWriter, r *http.Request) {
			said = append(said, r.Header.Get("Idempotency-Key")+" "+r.Header.Get(HeaderAttempt))
			if len(said) < 3 {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		key := said[0][:len(`""`)+32]
		for i, s := range said {
			if s != fmt.Sprintf("%s %d", key, i+1) {
				t.Errorf("request %d: %s", i+1, s)
			}
		}
	})
}
