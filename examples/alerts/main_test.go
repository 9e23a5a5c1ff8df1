package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/internal/testing/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pages are what a pager was told.
type pages chan string

func (p pages) page(ctx context.Context, _, text string) error {
	select {
	case p <- text:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Of 241 alerts of a host one is sent at once, and the other 240 are in summaries, though the
// service is restarted in between; another host has its own.
func TestOneAlertNowAndASummaryOfTheRest(t *testing.T) {
	nc := natstest.Start(t, nil).Connect(t)
	c := deferral.Config{Rate: flow.Rate{Limit: 1, Per: time.Hour, Strategy: flow.FixedWindow}, Interval: time.Hour}
	told := make(pages, 500)
	s := start(t, nc.ConnectedUrl(), c, told)
	for i := range 241 {
		want := "deferred"
		if i == 0 {
			want = "immediate"
		}
		s.post(t, fmt.Sprintf(`{"id":"a%d","host":"db-1","text":"full %d"}`, i, i), want)
	}
	s.post(t, `{"id":"b0","host":"db-2","text":"full"}`, "immediate")
	s.end(t)
	wantPage(t, told, "db-1: full 0")
	wantPage(t, told, "db-2: full")

	c.Interval = 100 * time.Millisecond
	s = start(t, nc.ConnectedUrl(), c, told)
	wantPage(t, told, "db-1: 240 more alerts, the last: full 240")
	s.post(t, `{"id":"a7","host":"db-1","text":"full 7"}`, "deferred") // it was in the summary
	s.post(t, `{"id":"a0","host":"db-1","text":"full 0"}`, "immediate")
	wantPage(t, told, "db-1: full 0")
	s.end(t)
	if len(told) > 0 {
		t.Errorf("one page more: %q", <-told)
	}
}

func TestServiceRefusesWhatIsNoAlert(t *testing.T) {
	nc := natstest.Start(t, nil).Connect(t)
	s := start(t, nc.ConnectedUrl(), oneInFiveMinutes, make(pages))
	for _, body := range []string{`{`, `{}`, `{"id":"1"}`} {
		r, err := client.Post(s.url, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", body, r.Status)
		}
	}
	s.end(t)
}

func TestServiceSaysWhyItCannotStart(t *testing.T) {
	listener := listen(t)
	defer listener.Close()
	if err := serve(t.Context(), listener, "nats://127.0.0.1:1", oneInFiveMinutes, logPager{}); !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("%v, want %v", err, nats.ErrNoServers)
	}
}

func wantPage(t *testing.T, told pages, want string) {
	t.Helper()
	select {
	case got := <-told:
		if got != want {
			t.Errorf("paged %q, want %q", got, want)
		}
	case <-time.After(60 * time.Second):
		t.Fatalf("nobody was paged %q", want)
	}
}

// service is one that runs.
type service struct {
	url   string
	stop  context.CancelFunc
	ended chan error
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func start(t *testing.T, natsURL string, c deferral.Config, p pager) *service {
	t.Helper()
	listener := listen(t)
	ctx, stop := context.WithCancel(context.Background())
	s := &service{url: "http://" + listener.Addr().String() + "/alerts", stop: stop, ended: make(chan error, 1)}
	go func() { s.ended <- serve(ctx, listener, natsURL, c, p) }()
	t.Cleanup(stop)
	return s
}

// end ends the service in order.
func (s *service) end(t *testing.T) {
	t.Helper()
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// client keeps no connection that a test would have to close.
var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

func (s *service) post(t *testing.T, body, want string) {
	t.Helper()
	r, err := client.Post(s.url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got, err := io.ReadAll(r.Body); err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("%s: %s %q (%v), want %s", body, r.Status, got, err, want)
	}
}
