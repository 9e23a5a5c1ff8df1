package consumertest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/consumer/consumertest"
)

// chargeServer is a real server, outside of every bubble.
func chargeServer(t *testing.T, s **service) (*httptest.Server, *http.Client) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_ = (*s).make("charge "+string(body), r.Header.Get("Idempotency-Key"))
		fmt.Fprint(w, "charged "+string(body))
	}))
	t.Cleanup(server.Close)
	client := &http.Client{Transport: consumertest.Transport(server.Client().Transport)}
	t.Cleanup(client.CloseIdleConnections)
	return server, client
}

func post(ctx context.Context, client *http.Client, url, body string, withKey bool) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/charges?now=1", strings.NewReader(body))
	if err != nil {
		return err
	}
	if withKey {
		request.Header.Set("Idempotency-Key", consumer.AttemptFrom(ctx).IdempotencyKey)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if got, err := io.ReadAll(response.Body); err != nil || string(got) != "charged "+body {
		return fmt.Errorf("got %q, %w", got, err)
	}
	return nil
}

// TestRequestsToARealServerAreCalls: the clock of the bubble goes on with the server outside.
func TestRequestsToARealServerAreCalls(t *testing.T) {
	for _, withKey := range []bool{true, false} {
		s := newService()
		server, client := chargeServer(t, &s)
		r := consumertest.CrashPoints(t, func() []bus.Event {
			s = newService()
			return []bus.Event{order("1")}
		}, func(ctx context.Context, e bus.Event) error {
			return post(ctx, client, server.URL, e.ID, withKey)
		}, func() map[string]int { return s.effects() })
		if !slices.Equal(r.Calls, []string{"POST /charges"}) || r.Once() != withKey {
			t.Errorf("with key %v:\n%s", withKey, r)
		}
		if got := findings(r)[`lost answer of call "POST /charges" (event 1)`]; !withKey && got != "repeats" {
			t.Errorf("the lost answer: %q", got)
		}
	}
}

func TestTransportOutsideOfARunPassesOn(t *testing.T) {
	s := newService()
	server, client := chargeServer(t, &s)
	for range 2 {
		if err := post(t.Context(), client, server.URL, "1", false); err != nil {
			t.Error(err)
		}
	}
	if s.effects()["charge 1"] != 2 {
		t.Errorf("effects %v", s.effects())
	}
	if err := post(t.Context(), &http.Client{Transport: consumertest.Transport(nil)}, server.URL, "2", false); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestConnectionsFromOutsideAreNotUsedInARun: they would belong to no bubble.
func TestConnectionsFromOutsideAreNotUsedInARun(t *testing.T) {
	s := newService()
	server, client := chargeServer(t, &s)
	if err := post(t.Context(), client, server.URL, "0", false); err != nil {
		t.Fatal(err)
	}
	o := consumertest.Run(t, func(ctx context.Context, e bus.Event) error {
		return post(ctx, client, server.URL, e.ID, true)
	}, order("1"), order("2"))
	if o[1].Verdict != consumertest.Handled || s.effects()["charge 2"] != 1 {
		t.Errorf("outcomes %+v, effects %v", o, s.effects())
	}
}

// TestRequestsUnderAnotherContextHoldUpNoClock: neither those of setup nor those of the handler.
func TestRequestsUnderAnotherContextHoldUpNoClock(t *testing.T) {
	s := newService()
	server, client := chargeServer(t, &s)
	setup := func() []bus.Event {
		s = newService()
		if err := post(context.Background(), client, server.URL, "0", false); err != nil {
			t.Error(err)
		}
		return oneOrder()
	}
	r := consumertest.CrashPoints(t, setup, func(_ context.Context, e bus.Event) error {
		return post(context.Background(), client, server.URL, e.ID, true)
	}, func() map[string]int { return s.effects() })
	if len(r.Calls) != 0 || r.Expected["charge 1"] != 1 {
		t.Errorf("calls %q, effects %v", r.Calls, r.Expected)
	}
}

// TestConnectionsOfAnyRoundTripperAreClosed, also of one that cannot be told to close idle ones.
func TestConnectionsOfAnyRoundTripperAreClosed(t *testing.T) {
	s := newService()
	server, _ := chargeServer(t, &s)
	type wrapped struct{ http.RoundTripper }
	client := &http.Client{Transport: consumertest.Transport(wrapped{server.Client().Transport})}
	o := consumertest.Run(t, func(ctx context.Context, e bus.Event) error {
		return post(ctx, client, server.URL, e.ID, true)
	}, order("1"))
	if o[0].Verdict != consumertest.Handled || s.effects()["charge 1"] != 1 {
		t.Errorf("outcomes %+v, effects %v", o, s.effects())
	}
}

func TestServerThatIsAwayFailsTheCall(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client := &http.Client{Transport: consumertest.Transport(nil)}
	kit := consumertest.Kit{Options: &consumer.Options{MaxAttempts: 2}}
	o := kit.Run(t, func(ctx context.Context, e bus.Event) error { return post(ctx, client, server.URL, e.ID, true) }, order("1"))[0]
	if o.Verdict != consumertest.DeadLettered || !strings.Contains(o.Letter.Reason, "refused") {
		t.Errorf("%+v", o)
	}
}
