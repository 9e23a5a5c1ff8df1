package http

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/handlertest"
)

func serveGone(t *testing.T) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusGone)
		_, _ = io.WriteString(w, "we have moved out")
	})
}

// TestGoneCountsNoAttempt: once what posts there is stopped the event is throttled, which is never
// an attempt. The endpoint is named, and nothing of it that may be secret.
func TestGoneCountsNoAttempt(t *testing.T) {
	t.Parallel()
	endpoint := serveGone(t)
	var reported []string
	h := newHTTP(t, withUser(t, endpoint, "u", "hunter2", "/hunter3?hunter4"), &Options{OnGone: func(ctx context.Context, endpoint string) error {
		if consumer.AttemptFrom(ctx).Number != 1 {
			t.Error("OnGone has no context of a run")
		}
		reported = append(reported, endpoint)
		return nil
	}})
	for range 2 {
		err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed())
		if !consumer.IsThrottled(err) || !strings.HasSuffix(err.Error(), ": 410 Gone: we have moved out") {
			t.Errorf("%v", err)
		}
	}
	if len(reported) != 2 || reported[0] != endpoint {
		t.Errorf("reported %q", reported)
	}
}

// TestGoneThatCannotBeStoppedIsUnavailable: nothing is lost, and the reason says it.
func TestGoneThatCannotBeStoppedIsUnavailable(t *testing.T) {
	t.Parallel()
	h := newHTTP(t, serveGone(t), &Options{OnGone: func(context.Context, string) error { return consumer.Permanent(errors.New("the store is away")) }})
	err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed())
	if Meaning(handlertest.MeaningOf(err)) != Unavailable || !strings.HasSuffix(err.Error(), "what posts there could not be stopped: the store is away") {
		t.Errorf("%v", err)
	}
}

func TestGoneIsWhatStatusesSay(t *testing.T) {
	t.Parallel()
	var stopped int
	h := newHTTP(t, serveGone(t), &Options{Statuses: map[int]Meaning{410: Permanent}, OnGone: func(context.Context, string) error {
		stopped++
		return nil
	}})
	if err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed()); !consumer.IsPermanent(err) || stopped > 0 {
		t.Errorf("%v, stopped %d times", err, stopped)
	}
	h = newHTTP(t, serve(t, http.NotFound), &Options{Statuses: map[int]Meaning{404: Gone}, OnGone: func(context.Context, string) error {
		stopped++
		return nil
	}})
	if err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed()); !consumer.IsThrottled(err) || stopped != 1 {
		t.Errorf("%v, stopped %d times", err, stopped)
	}
}

// TestGoneIsReportedOnceForAllRuns that find it at the same time. One whose context ends meanwhile
// does not wait.
func TestGoneIsReportedOnceForAllRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls, answer := 0, make(chan error)
		g := &goneCalls{onGone: func(context.Context, string) error {
			calls++
			return <-answer
		}}
		ended := make(chan error, 10)
		for range 9 {
			go func() { ended <- g.report(t.Context(), "http://h") }()
		}
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		var impatient sync.WaitGroup
		impatient.Go(func() {
			if err := g.report(ctx, "http://h"); !errors.Is(err, consumer.ErrLeaseLost) {
				t.Errorf("a run that ended: %v", err)
			}
		})
		synctest.Wait()
		cancel(consumer.ErrLeaseLost)
		impatient.Wait()
		failed := errors.New("failed")
		answer <- failed
		for range 9 {
			if err := <-ended; !errors.Is(err, failed) {
				t.Errorf("%v", err)
			}
		}
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
		go func() { answer <- nil }()
		if err := g.report(t.Context(), "http://h"); err != nil || calls != 2 {
			t.Errorf("later: %v, %d calls", err, calls)
		}
	})
}

// TestGoneWithoutAPauseWaitsLong: it is no attempt, nothing is lost, and the endpoint is left in
// peace for minutes.
func TestGoneWithoutAPauseWaitsLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Time
		var attempts []string
		subscribed(t, 2, func(w http.ResponseWriter, r *http.Request) {
			asked, attempts = append(asked, time.Now()), append(attempts, r.Header.Get(HeaderAttempt))
			if len(asked) < 4 {
				w.WriteHeader(http.StatusGone)
			}
		})
		if strings.Join(attempts, " ") != "1 1 1 1" {
			t.Errorf("attempts %q", attempts)
		}
		for i := range asked[1:] {
			if wait := asked[i+1].Sub(asked[i]); wait < goneRetry || wait > goneRetry+time.Minute {
				t.Errorf("%v after request %d", wait, i+1)
			}
		}
	})
}
