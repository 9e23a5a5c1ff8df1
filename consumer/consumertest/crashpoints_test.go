package consumertest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/consumer/consumertest"
)

// findings are the points of a report that are not once, with the verdicts of their effects.
func findings(r *consumertest.Report) map[string]string {
	out := make(map[string]string)
	for i := range r.Points {
		p := &r.Points[i]
		if p.Once() {
			continue
		}
		var verdicts []string
		for _, e := range p.Effects {
			if e.Verdict != consumertest.Once {
				verdicts = append(verdicts, string(e.Verdict))
			}
		}
		for _, l := range p.Letters {
			verdicts = append(verdicts, "dead: "+l.Reason)
		}
		out[p.Point] = strings.Join(verdicts, ", ")
	}
	return out
}

func wantFindings(t *testing.T, r *consumertest.Report, want map[string]string) {
	t.Helper()
	if got := findings(r); !maps.Equal(got, want) {
		t.Errorf("found %q,\nwant %q;\nthe report:\n%s", got, want, r)
	}
	if r.Once() != (len(want) == 0) {
		t.Errorf("once: %v", r.Once())
	}
}

const (
	freezeBeforeHandler = "freeze before the handler (event 1) until another process has handled it"
	freezeBeforeCharge  = `freeze before call "charge" (event 1) until another process has handled it`
	failedCharge        = `failure of call "charge" (event 1)`
	lostCharge          = `lost answer of call "charge" (event 1)`
	crashAfterCharge    = `crash after call "charge" (event 1)`
	crashAfterHandler   = "crash after the handler returned (event 1)"
	crashBeforeMark     = "crash before the mark (event 1)"
)

// TestHandlerThatPassesItsKeyIsOnceAtEveryPoint: the points are all that the package promises.
func TestHandlerThatPassesItsKeyIsOnceAtEveryPoint(t *testing.T) {
	r := explore(t, consumertest.Kit{}, []bus.Event{order("1")}, chargeSafely)
	wantFindings(t, r, nil)
	var points []string
	for _, p := range r.Points {
		points = append(points, p.Point)
	}
	want := []string{
		"no fault, a second time",
		"crash before the claim (event 1)", "crash after the claim (event 1)",
		"crash before the handler (event 1)", freezeBeforeHandler,
		`crash before call "charge" (event 1)`, freezeBeforeCharge, failedCharge, lostCharge, crashAfterCharge,
		crashAfterHandler, crashBeforeMark,
		"lost answer of the mark (event 1)", "crash after the mark (event 1)", "crash after the ack (event 1)",
		"every event redelivered", "every event published twice",
	}
	if !slices.Equal(points, want) {
		t.Errorf("points %q,\nwant %q", points, want)
	}
	if !slices.Equal(r.Calls, []string{"charge"}) || !maps.Equal(r.Expected, map[string]int{"charge 1": 1}) {
		t.Errorf("calls %q, expected %v", r.Calls, r.Expected)
	}
}

func TestChargesWithoutAKeyRepeat(t *testing.T) {
	wantFindings(t, explore(t, consumertest.Kit{}, []bus.Event{order("1")}, chargeUnsafely), map[string]string{
		freezeBeforeHandler: "repeats", freezeBeforeCharge: "repeats", lostCharge: "repeats",
		crashAfterCharge: "repeats", crashAfterHandler: "repeats", crashBeforeMark: "repeats",
	})
}

// TestRandomKeysAreUnexpected: runs without faults differ already, so no other is compared.
func TestRandomKeysAreUnexpected(t *testing.T) {
	r := explore(t, consumertest.Kit{}, []bus.Event{order("1")}, chargeUnderRandomKey)
	if len(r.Points) != 1 || r.Skipped != 16 || r.Once() || !strings.Contains(r.String(), "16 were not tried") {
		t.Errorf("%d points, %d skipped:\n%s", len(r.Points), r.Skipped, r)
	}
	for _, e := range r.Points[0].Effects {
		if e.Verdict == consumertest.Once {
			t.Errorf("%+v", e)
		}
	}
}

// TestStateThatSetupDoesNotResetIsExplained: the second run finds what the first one has left.
func TestStateThatSetupDoesNotResetIsExplained(t *testing.T) {
	var once sync.Once
	r := explore(t, consumertest.Kit{}, []bus.Event{order("1")}, func(ctx context.Context, s *service, e bus.Event) (err error) {
		once.Do(func() { err = chargeSafely(ctx, s, e) })
		return err
	})
	if text := r.String(); r.Once() || !strings.Contains(text, "have setup make new") || strings.Contains(text, "a later run leaves out") {
		t.Errorf("the report:\n%s", r)
	}
}

// TestKeysOfAnAttemptAreUnexpectedOnceItIsRetried: they are the same in runs without faults.
func TestKeysOfAnAttemptAreUnexpectedOnceItIsRetried(t *testing.T) {
	r := explore(t, consumertest.Kit{}, []bus.Event{order("1")}, func(ctx context.Context, s *service, _ bus.Event) error {
		key := time.Now().Format(time.RFC3339Nano)
		return charge(ctx, s, "charge at "+key, key)
	})
	if got := findings(r); !strings.Contains(got[lostCharge], "unexpected") || !strings.Contains(got[crashAfterCharge], "unexpected") || got["no fault, a second time"] != "" {
		t.Errorf("found %q", got)
	}
}

// TestKeysOfADayRepeat: each run begins shortly before a year ends, and who takes over comes after.
func TestKeysOfADayRepeat(t *testing.T) {
	for _, layout := range []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15", "2006-01-02T15:04"} {
		r := explore(t, consumertest.Kit{}, []bus.Event{order("1")}, func(ctx context.Context, s *service, e bus.Event) error {
			return charge(ctx, s, "charge 1", e.ID+time.Now().UTC().Format(layout))
		})
		got := findings(r)
		for _, point := range []string{freezeBeforeCharge, crashAfterCharge, crashAfterHandler, crashBeforeMark} {
			if got[point] != "repeats" {
				t.Errorf("%s: %s: %q:\n%s", layout, point, got[point], r)
			}
		}
	}
}

func TestEffectAfterTheLastCallRepeats(t *testing.T) {
	wantFindings(t, explore(t, consumertest.Kit{}, []bus.Event{order("1")}, chargeThenCount), map[string]string{
		freezeBeforeHandler: "repeats", freezeBeforeCharge: "repeats", crashAfterHandler: "repeats", crashBeforeMark: "repeats",
	})
}

func TestSecondStepThatARetrySkipsIsLost(t *testing.T) {
	wantFindings(t, explore(t, consumertest.Kit{}, []bus.Event{order("1")}, chargeInTwoSteps), map[string]string{
		`freeze before call "reserve" (event 1) until another process has handled it`: "repeats, repeats",
		`lost answer of call "reserve" (event 1)`:                                     "lost", `crash after call "reserve" (event 1)`: "lost",
		`crash before call "charge" (event 1)`: "lost", failedCharge: "lost",
	})
}

// TestCallOfWhichTheErrorIsIgnoredIsLost: the handler succeeds, so it does not run again.
func TestCallOfWhichTheErrorIsIgnoredIsLost(t *testing.T) {
	wantFindings(t, explore(t, consumertest.Kit{}, []bus.Event{order("1")}, func(ctx context.Context, s *service, e bus.Event) error {
		_ = chargeSafely(ctx, s, e)
		return nil
	}), map[string]string{failedCharge: "lost"})
}

func TestRetryThatFailsForWhatWasDoneIsDeadLettered(t *testing.T) {
	dead := "dead: permanent: charged before"
	wantFindings(t, explore(t, consumertest.Kit{}, []bus.Event{order("1")}, chargeRefusing), map[string]string{
		freezeBeforeCharge: "repeats", lostCharge: dead, crashAfterCharge: dead, crashAfterHandler: dead, crashBeforeMark: dead,
	})
}

// TestHandlerWithoutCallsIsTriedAndIsNotOnce: nothing is known of what is within it.
func TestHandlerWithoutCallsIsTriedAndIsNotOnce(t *testing.T) {
	r := explore(t, consumertest.Kit{}, []bus.Event{order("1")}, func(ctx context.Context, s *service, _ bus.Event) error {
		return s.make("charge 1", consumer.AttemptFrom(ctx).IdempotencyKey)
	})
	if got := findings(r); len(got) > 0 || r.Once() || !strings.Contains(r.String(), "no calls seen") {
		t.Errorf("the report:\n%s", r)
	}
}

// TestPointThatIsNotReachedIsInconclusive: here the second run takes another way.
func TestPointThatIsNotReachedIsInconclusive(t *testing.T) {
	runs := 0
	r := explore(t, consumertest.Kit{}, []bus.Event{order("1")}, func(ctx context.Context, s *service, e bus.Event) error {
		if runs++; runs == 1 {
			return chargeSafely(ctx, s, e)
		}
		return s.make("charge 1", consumer.AttemptFrom(ctx).IdempotencyKey)
	})
	want := map[string]string{`crash before call "charge" (event 1)`: "", freezeBeforeCharge: "", failedCharge: "", lostCharge: "", crashAfterCharge: ""}
	wantFindings(t, r, want)
	if !strings.Contains(r.String(), crashAfterCharge+": inconclusive, it was not reached") {
		t.Errorf("the report:\n%s", r)
	}
}

// TestHandlerMayChangeTheDataOfItsEvent: redeliveries have it as it was published.
func TestHandlerMayChangeTheDataOfItsEvent(t *testing.T) {
	events := []bus.Event{{ID: "1", Topic: "order.placed", Data: []byte("a"), Headers: bus.Headers{"note": {"a"}}}}
	wantFindings(t, explore(t, consumertest.Kit{}, events, func(ctx context.Context, s *service, e bus.Event) error {
		e.Data[0]++
		e.Headers["note"][0] += "b"
		key := consumer.AttemptFrom(ctx).IdempotencyKey
		return charge(ctx, s, "charge "+string(e.Data)+e.Headers.Get("note"), key)
	}), nil)
}

// TestMemoryOfAProcessIsGoneWithIt if each process has a handler of its own: here the first one
// keeps the random key of each event, which a retry in the same process finds.
func TestMemoryOfAProcessIsGoneWithIt(t *testing.T) {
	var s *service
	newHandler := func() consumer.Handler {
		keys := make(map[string]string)
		return func(ctx context.Context, e bus.Event) error {
			if keys[e.ID] == "" {
				keys[e.ID] = rand.Text()
			}
			return charge(ctx, s, "charge "+e.ID, keys[e.ID])
		}
	}
	setup := func() []bus.Event {
		s = newService()
		return oneOrder()
	}
	kit := consumertest.Kit{NewHandler: newHandler}
	wantFindings(t, kit.CrashPoints(t, setup, nil, func() map[string]int { return s.effects() }), map[string]string{
		freezeBeforeHandler: "repeats", freezeBeforeCharge: "repeats",
		crashAfterCharge: "repeats", crashAfterHandler: "repeats", crashBeforeMark: "repeats",
	})
}

func TestManyEventsAtOnce(t *testing.T) {
	kit := consumertest.Kit{Options: &consumer.Options{Concurrency: 3}}
	events := []bus.Event{order("1"), order("2"), order("3")}
	slow := func(h func(context.Context, *service, bus.Event) error) func(context.Context, *service, bus.Event) error {
		return func(ctx context.Context, s *service, e bus.Event) error {
			time.Sleep(time.Second)
			return h(ctx, s, e)
		}
	}
	r := explore(t, kit, events, slow(chargeSafely))
	wantFindings(t, r, nil)
	if len(r.Points) != 3*14+4 {
		t.Errorf("%d points", len(r.Points))
	}
	if r := explore(t, kit, events, slow(chargeUnsafely)); r.Once() || findings(r)[crashAfterCharge] == "" {
		t.Errorf("the report:\n%s", r)
	}
}

func TestModeSeenMark(t *testing.T) {
	kit := consumertest.Kit{Options: &consumer.Options{Mode: consumer.SeenMark}}
	r := explore(t, kit, []bus.Event{order("1"), order("2")}, chargeSafely)
	wantFindings(t, r, nil)
	if !slices.ContainsFunc(r.Points, func(p consumertest.PointResult) bool { return p.Point == "crash before the claim (event 2)" }) {
		t.Errorf("points: %+v", r.Points)
	}
	if explore(t, kit, []bus.Event{order("1")}, chargeUnsafely).Once() {
		t.Error("an unsafe handler passes")
	}
}

// TestEventsOfOneKeyStayInOrder when events are published in reverse: no publisher exchanges them.
// A crash may, for the order of a key holds within a process.
func TestEventsOfOneKeyStayInOrder(t *testing.T) {
	var events []bus.Event
	for _, id := range []string{"a1", "b1", "a2", "b2"} {
		e := order(id)
		e.Key = id[:1]
		events = append(events, e)
	}
	r := explore(t, consumertest.Kit{}, events, func(ctx context.Context, s *service, e bus.Event) error {
		if e.ID[1:] == "2" && s.effects()["charge "+e.Key+"1"] == 0 {
			return s.make("out of order "+e.Key, "")
		}
		return chargeSafely(ctx, s, e)
	})
	if last := r.Points[len(r.Points)-1]; last.Point != "events published in reverse" || !last.Once() {
		t.Errorf("the last point is %+v", last)
	}
	if findings(r)["crash before the handler (event a1)"] == "" {
		t.Error("a crash keeps the order of a key over processes, which is not promised")
	}
	if r := explore(t, consumertest.Kit{}, events[:1], chargeSafely); r.Points[len(r.Points)-1].Point != "every event published twice" {
		t.Error("a single event is published in reverse")
	}
}

func TestEffectThatNeedsAnOrderIsFound(t *testing.T) {
	first := order("1")
	r := explore(t, consumertest.Kit{}, []bus.Event{first, order("2")}, func(ctx context.Context, s *service, e bus.Event) error {
		if e.ID == "2" && s.effects()["charge 1"] == 0 {
			return nil // as if it were settled
		}
		return chargeSafely(ctx, s, e)
	})
	if got := findings(r)["events published in reverse"]; got != "lost" {
		t.Errorf("got %q", got)
	}
}

var errDown = errors.New("the service is down")

// TestCrashedHandlerGoesNoFurther: neither its deferred functions nor the end of its context let it
// make effects before they were read.
func TestCrashedHandlerGoesNoFurther(t *testing.T) {
	r := explore(t, consumertest.Kit{}, []bus.Event{order("1")}, func(ctx context.Context, s *service, e bus.Event) (err error) {
		defer func() {
			if err != nil {
				_ = s.make("clean up", "")
			}
		}()
		stop := context.AfterFunc(ctx, func() { _ = s.make("cancelled", "") })
		defer stop()
		return chargeSafely(ctx, s, e)
	})
	for point, verdicts := range findings(r) {
		if strings.HasPrefix(point, "crash") {
			t.Errorf("%s: %s", point, verdicts)
		}
	}
	if got := findings(r)[lostCharge]; got != "unexpected" {
		t.Errorf("a handler that fails does not clean up: %q", got)
	}
}

// TestOtherHandlersOfACrashedProcessGoNoFurther: they stop at their next call.
func TestOtherHandlersOfACrashedProcessGoNoFurther(t *testing.T) {
	kit := consumertest.Kit{Options: &consumer.Options{Concurrency: 2}}
	r := explore(t, kit, []bus.Event{order("1"), order("2")}, func(ctx context.Context, s *service, e bus.Event) error {
		if e.ID == "2" {
			time.Sleep(time.Second) // the other one crashes meanwhile
			return charge(ctx, s, "charge 2", "")
		}
		return chargeSafely(ctx, s, e)
	})
	if got := findings(r); got[crashAfterCharge] != "" || got[`crash after call "charge" (event 2)`] != "repeats" {
		t.Errorf("found %q", got)
	}
}

// TestHandlerThatRepeatsItsCallForEverIsEnded once its process is dead.
func TestHandlerThatRepeatsItsCallForEverIsEnded(t *testing.T) {
	r := explore(t, consumertest.Kit{}, []bus.Event{order("1")}, func(ctx context.Context, s *service, e bus.Event) error {
		for {
			if err := chargeSafely(ctx, s, e); err == nil {
				return nil
			}
		}
	})
	wantFindings(t, r, nil)
}

// TestFrozenProcessMakesItsCallBeforeItLearnsOfItsLease: its context ends a little later.
func TestFrozenProcessMakesItsCallBeforeItLearnsOfItsLease(t *testing.T) {
	ended := 0
	r := explore(t, consumertest.Kit{}, []bus.Event{order("1")}, func(ctx context.Context, s *service, _ bus.Event) error {
		err := consumertest.Call(ctx, "charge", func(ctx context.Context) error {
			for range 1000 {
				runtime.Gosched() // it has work to do, which takes no time by the clock of the bubble
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return s.make("charge 1", "")
		})
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			ended++
			return context.Cause(ctx)
		case <-time.After(time.Second):
			return nil
		}
	})
	if findings(r)[freezeBeforeCharge] != "repeats" || ended != 2 {
		t.Errorf("the contexts of %d frozen handlers ended; the report:\n%s", ended, r)
	}
}

func TestEventsWithOneIDAreToldApartByTheirTopics(t *testing.T) {
	paid := bus.Event{ID: "1", Topic: "order.paid"}
	r := explore(t, consumertest.Kit{}, []bus.Event{order("1"), paid}, chargeSafely)
	for _, want := range []string{"crash after the ack (event order.placed 1)", "crash after the ack (event order.paid 1)"} {
		if !slices.ContainsFunc(r.Points, func(p consumertest.PointResult) bool { return p.Point == want }) {
			t.Errorf("no point %q", want)
		}
	}
}

func TestHandlerMayFailBeforeItSucceeds(t *testing.T) {
	var runs atomic.Int32
	r := explore(t, consumertest.Kit{}, []bus.Event{order("1")}, func(ctx context.Context, s *service, e bus.Event) error {
		runs.Add(1)
		if s.effects()["tried"] == 0 {
			_ = s.make("tried", "tried")
			return errDown
		}
		return chargeSafely(ctx, s, e)
	})
	wantFindings(t, r, nil)
	if !slices.ContainsFunc(r.Points, func(p consumertest.PointResult) bool {
		return p.Point == "crash before the handler number 2 (event 1)"
	}) {
		t.Errorf("the second attempt has no points: %+v", r.Points)
	}
}
