package consumertest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/consumer/consumertest"
)

// TestOutcomesAreInTheOrderOfEvents, with every run and its error.
func TestOutcomesAreInTheOrderOfEvents(t *testing.T) {
	errBad := errors.New("the amount is negative")
	outcomes := consumertest.Run(t, func(ctx context.Context, e bus.Event) error {
		time.Sleep(time.Second)
		switch a := consumer.AttemptFrom(ctx); {
		case e.ID == "bad":
			return consumer.Permanent(errBad)
		case e.ID == "flaky" && a.Number < 3:
			return consumer.RetryAfter(time.Minute, errDown)
		}
		return nil
	}, order("bad"), order("flaky"), order("good"))
	bad, flaky, good := outcomes[0], outcomes[1], outcomes[2]
	if bad.Event.ID != "bad" || bad.Verdict != consumertest.DeadLettered || bad.Letter == nil || bad.Letter.Reason != "permanent: the amount is negative" ||
		!errors.Is(bad.Errors()[0], errBad) || bad.Attempts != 1 || bad.Runs[0].Ended != "dead" {
		t.Errorf("bad: %+v", bad)
	}
	if flaky.Event.ID != "flaky" || flaky.Verdict != consumertest.Handled || flaky.Letter != nil || flaky.Attempts != 3 || len(flaky.Runs) != 3 || len(flaky.Errors()) != 2 {
		t.Errorf("flaky: %+v", flaky)
	}
	for i, r := range flaky.Runs {
		if r.Attempt != i+1 || r.Took != time.Second || i > 0 && r.Began-flaky.Runs[i-1].Began < time.Minute {
			t.Errorf("run %d of flaky: %+v", i, r)
		}
	}
	if flaky.Took < flaky.Runs[2].Began+time.Second || flaky.Runs[0].Ended != "failed" || flaky.Runs[2].Ended != "handled" {
		t.Errorf("flaky: %+v", flaky)
	}
	if good.Verdict != consumertest.Handled || good.Attempts != 1 || len(good.Errors()) != 0 {
		t.Errorf("good: %+v", good)
	}
}

func TestEventThatFailsForEverIsDeadLettered(t *testing.T) {
	kit := consumertest.Kit{Options: &consumer.Options{MaxAttempts: 3}}
	o := kit.Run(t, func(context.Context, bus.Event) error { return errDown }, order("1"))[0]
	if o.Verdict != consumertest.DeadLettered || o.Attempts != 3 || len(o.Letter.History) != 3 || len(o.Runs) != 3 {
		t.Errorf("%+v", o)
	}
}

// TestEventThatCannotBeIdentifiedNeverRuns: Options.ID finds no id in it.
func TestEventThatCannotBeIdentifiedNeverRuns(t *testing.T) {
	kit := consumertest.Kit{Options: &consumer.Options{ID: func(e bus.Event) string { return e.Headers.Get("order") }}}
	o := kit.Run(t, func(context.Context, bus.Event) error { return nil }, order("1"))[0]
	if o.Verdict != consumertest.DeadLettered || len(o.Runs) != 0 || o.Attempts != 0 {
		t.Errorf("%+v", o)
	}
}

func TestEventsAreHandledWhereverTheOptionsStart(t *testing.T) {
	kit := consumertest.Kit{Options: &consumer.Options{From: bus.Start{Latest: true}}}
	if o := kit.Run(t, nothing, order("1"))[0]; o.Verdict != consumertest.Handled || o.Attempts != 1 {
		t.Errorf("%+v", o)
	}
}

func TestSnoozesCountNoAttempt(t *testing.T) {
	runs := 0
	o := consumertest.Run(t, func(context.Context, bus.Event) error {
		if runs++; runs < 4 {
			return consumer.Snooze(time.Hour)
		}
		return nil
	}, order("1"))[0]
	if o.Verdict != consumertest.Handled || o.Attempts != 1 || len(o.Runs) != 4 || o.Runs[0].Ended != "snoozed" || o.Took < 3*time.Hour {
		t.Errorf("%+v", o)
	}
}

func TestTopicsWithOneBeginningAreSubscribedTogether(t *testing.T) {
	paid := bus.Event{ID: "1", Topic: "order.paid.late"}
	var topics []string
	outcomes := consumertest.Run(t, func(_ context.Context, e bus.Event) error {
		topics = append(topics, e.Topic)
		return nil
	}, order("1"), paid)
	if !slices.Equal(topics, []string{"order.placed", "order.paid.late"}) || outcomes[1].Event.Topic != "order.paid.late" {
		t.Errorf("topics %q, outcomes %+v", topics, outcomes)
	}
}

func TestMiddlewareAndObserverOfTheOptionsAreUsed(t *testing.T) {
	var seen observed
	kit := consumertest.Kit{Group: "billing", Options: &consumer.Options{
		Observer: &seen,
		Use: []consumer.Middleware{func(next consumer.Handler) consumer.Handler {
			return func(ctx context.Context, e bus.Event) error { return errors.Join(next(ctx, e), errDown) }
		}},
	}}
	key := ""
	o := kit.Run(t, func(ctx context.Context, _ bus.Event) error {
		key = consumer.AttemptFrom(ctx).Key.Group
		return consumer.Permanent(errDown)
	}, order("1"))[0]
	if key != "billing" || len(seen) != 1 || seen[0].Outcome != consumer.OutcomeDead || o.Errors()[0].Error() != "the service is down\nthe service is down" {
		t.Errorf("group %q, observed %+v, outcome %+v", key, seen, o)
	}
}

type observed []consumer.Observation

func (s *observed) Observe(o consumer.Observation) { *s = append(*s, o) }

// TestAnswersAreObserved by an observer of the options that is a consumer.AnswerObserver too.
func TestAnswersAreObserved(t *testing.T) {
	var seen observedAnswers
	kit := consumertest.Kit{Options: &consumer.Options{Observer: &seen}}
	kit.Run(t, func(context.Context, bus.Event) error { return nil }, order("1"))
	if len(seen.observed) != 1 || seen.answers != 1 {
		t.Errorf("%+v", seen)
	}
}

type observedAnswers struct {
	observed

	answers int
}

func (s *observedAnswers) ObserveAnswer(bus.Position, error) { s.answers++ }

func TestCallOutsideOfARunOnlyCalls(t *testing.T) {
	calls := 0
	err := consumertest.Call(t.Context(), "charge", func(context.Context) error { calls++; return errDown })
	if calls != 1 || !errors.Is(err, errDown) {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func TestCallOfARunReturnsItsError(t *testing.T) {
	o := consumertest.Run(t, func(ctx context.Context, _ bus.Event) error {
		return consumer.Permanent(consumertest.Call(ctx, "charge", func(context.Context) error { return errDown }))
	}, order("1"))[0]
	if !errors.Is(o.Errors()[0], errDown) {
		t.Errorf("%+v", o)
	}
}

// TestLostAnswerIsATimeout, as clients report it.
func TestLostAnswerIsATimeout(t *testing.T) {
	var lost error
	explore(t, consumertest.Kit{}, []bus.Event{order("1")}, func(ctx context.Context, s *service, e bus.Event) error {
		err := chargeSafely(ctx, s, e)
		if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			lost = err
		}
		return err
	})
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](lost)
	if !ok || !timeout.Timeout() {
		t.Errorf("got %v", lost)
	}
}
