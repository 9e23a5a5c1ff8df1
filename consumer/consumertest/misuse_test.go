package consumertest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/consumer/consumertest"
	"github.com/onceish/onceish/flow"
)

// misuses each fail their test, in a process of their own, with a message that has want.
var misuses = map[string]struct {
	use  func(t *testing.T)
	want string
}{
	"nil handler": {func(t *testing.T) {
		consumertest.Run(t, nil, order("1"))
	}, "consumertest.Run: the handler is nil"},
	"two handlers": {func(t *testing.T) {
		consumertest.Kit{NewHandler: func() consumer.Handler { return nothing }}.Run(t, nothing, order("1"))
	}, "there is a handler, and Kit.NewHandler"},
	"nil handler of a process": {func(t *testing.T) {
		consumertest.Kit{NewHandler: func() consumer.Handler { return nil }}.Run(t, nil, order("1"))
	}, "Kit.NewHandler returned nil"},
	"no events": {func(t *testing.T) {
		consumertest.Run(t, nothing)
	}, "consumertest.Run: there are no events"},
	"setup without events": {func(t *testing.T) {
		consumertest.CrashPoints(t, func() []bus.Event { return nil }, nothing, one)
	}, "CrashPoints: the run without faults: there are no events"},
	"nil setup": {func(t *testing.T) {
		consumertest.CrashPoints(t, nil, nothing, one)
	}, "setup is nil"},
	"nil effects": {func(t *testing.T) {
		consumertest.CrashPoints(t, oneOrder, nothing, nil)
	}, "effects is nil"},
	"no topic": {func(t *testing.T) {
		consumertest.Run(t, nothing, bus.Event{ID: "1"})
	}, `event 0 (id "1") has no topic`},
	"no id": {func(t *testing.T) {
		consumertest.Run(t, nothing, bus.Event{Topic: "order.placed"})
	}, "event 0: "},
	"equal ids": {func(t *testing.T) {
		consumertest.Run(t, nothing, order("1"), order("2"), order("1"))
	}, `event 2 has the id "1" of an earlier one on topic "order.placed"`},
	"topics with nothing in common": {func(t *testing.T) {
		consumertest.Run(t, nothing, order("1"), bus.Event{ID: "1", Topic: "invoice.sent"})
	}, "set Kit.Topic to a pattern"},
	"topic outside of the kit's": {func(t *testing.T) {
		consumertest.Kit{Topic: "invoice.*"}.Run(t, nothing, order("1"))
	}, `topic "order.placed" of event "1" is not in the subscription to "invoice.*"`},
	"invalid options": {func(t *testing.T) {
		consumertest.Kit{Options: &consumer.Options{MaxAttempts: -1}}.Run(t, nothing, order("1"))
	}, "Options.MaxAttempts is -1"},
	"transactions": {func(t *testing.T) {
		consumertest.Kit{Options: &consumer.Options{Mode: consumer.Transactional}}.Run(t, nothing, order("1"))
	}, "there are no transactions in memory"},
	"gates": {func(t *testing.T) {
		consumertest.Kit{Options: &consumer.Options{Gates: []flow.Gate{nil}}}.Run(t, nothing, order("1"))
	}, "Options.Gates and Options.Limit keep their state"},
	"negative limit": {func(t *testing.T) {
		consumertest.Kit{Limit: -1}.Run(t, nothing, order("1"))
	}, "Kit.Limit is -1ns"},
	"handler that never returns": {func(t *testing.T) {
		hourly.Run(t, func(context.Context, bus.Event) error { select {} }, order("1"))
	}, "handlers still run: 1, attempt 1, since 1h0m0s"},
	"handler that sleeps for ever": {func(t *testing.T) {
		hourly.Run(t, func(context.Context, bus.Event) error {
			for {
				time.Sleep(time.Minute)
			}
		}, order("1"))
	}, "events are not settled (1: run 1 failed: run limit reached); handlers still run: 1, attempt 1"},
	"handler that snoozes for ever": {func(t *testing.T) {
		hourly.Run(t, func(context.Context, bus.Event) error { return consumer.Snooze(time.Minute) }, order("1"))
	}, "(1: run 1 snoozed: snoozed for 1m0s)"},
	"goroutine that never ends": {func(t *testing.T) {
		hourly.Run(t, func(context.Context, bus.Event) error {
			go func() { select {} }()
			return nil
		}, order("1"))
	}, "a goroutine that setup, the handler or effects started has not ended"},
	"call after the handler returned": {func(t *testing.T) {
		explore(t, hourly, []bus.Event{order("1")}, func(ctx context.Context, s *service, e bus.Event) error {
			time.AfterFunc(time.Second, func() { _ = chargeSafely(ctx, s, e) })
			return s.make("count", consumer.AttemptFrom(ctx).IdempotencyKey)
		})
	}, `call "charge" (event 1) ended after the handler had returned`},
	"effects that end the test": {func(t *testing.T) {
		consumertest.CrashPoints(t, oneOrder, nothing, func() map[string]int { t.Fatal("no effects"); return nil })
	}, "setup or effects ended the test"},
	"handler that ends only without a crash": {func(t *testing.T) {
		explore(t, hourly, []bus.Event{order("1")}, func(ctx context.Context, s *service, e bus.Event) error {
			if chargeSafely(ctx, s, e) != nil {
				select {}
			}
			return nil
		})
	}, `crash before call "charge" (event 1): the handler does not return although its process has ended: 1, attempt 1, since 1h`},
	"handler that fails for ever": {func(t *testing.T) {
		consumertest.CrashPoints(t, oneOrder, func(context.Context, bus.Event) error { return errDown }, one)
	}, `the run without faults: event "1" was dead-lettered: failed 10 times`},
	"no effects": {func(t *testing.T) {
		consumertest.CrashPoints(t, oneOrder, nothing, func() map[string]int { return map[string]int{"charge 1": 0} })
	}, "effects returned none"},
	"negative effects": {func(t *testing.T) {
		consumertest.CrashPoints(t, oneOrder, nothing, func() map[string]int { return map[string]int{"charge 1": -1} })
	}, `effects returned -1 for "charge 1"`},
	"setup with other events": {func(t *testing.T) {
		calls := 0
		consumertest.CrashPoints(t, func() []bus.Event {
			calls++
			return []bus.Event{order(strings.Repeat("x", calls))}
		}, nothing, one)
	}, `no fault, a second time: setup returned events ["xx"], and earlier ["x"]`},
	"within a bubble": {func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { consumertest.Run(t, nothing, order("1")) })
	}, "call this outside of a bubble of testing/synctest"},
}

// hourly is a kit that waits for less time, which costs less.
var hourly = consumertest.Kit{Limit: time.Hour}

func nothing(context.Context, bus.Event) error { return nil }

func one() map[string]int { return map[string]int{"charge 1": 1} }

func oneOrder() []bus.Event { return []bus.Event{order("1")} }

const misuseVariable = "ONCEISH_CONSUMERTEST_MISUSE"

// TestMisuse is what TestMisuseFailsTheTestClearly runs in other processes.
func TestMisuse(t *testing.T) {
	name := os.Getenv(misuseVariable)
	if name == "" {
		return
	}
	misuses[name].use(t)
	t.Log("nothing has failed")
}

// TestConnectionThatStaysOpenIsExplained before the tests time out.
func TestConnectionThatStaysOpenIsExplained(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestConnectionThatStaysOpen$", "-test.timeout=6s")
	cmd.Env = append(os.Environ(), misuseVariable+"=a connection stays open")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `panic: consumertest: the tests time out in a run without faults because the clock`) {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestRunThatIsSlowIsExplained before the tests time out.
func TestRunThatIsSlowIsExplained(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRunThatIsSlow$", "-test.timeout=4s")
	cmd.Env = append(os.Environ(), misuseVariable+"=a handler retries for long")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `panic: consumertest: the tests time out in a run without faults, which goes on: test fewer events, lower Kit.Limit (438000h0m0s`) {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestRunThatIsSlow is what that runs in another process.
func TestRunThatIsSlow(t *testing.T) {
	if os.Getenv(misuseVariable) == "" {
		return
	}
	const years = 365 * 24 * time.Hour
	long := consumertest.Kit{Limit: 50 * years, Options: &consumer.Options{TTL: 10 * years, GiveUp: 5 * years}}
	long.Run(t, func(context.Context, bus.Event) error { return consumer.Unavailable(errDown) }, order("1"))
}

// TestConnectionThatStaysOpen is what that runs in another process.
func TestConnectionThatStaysOpen(t *testing.T) {
	if os.Getenv(misuseVariable) == "" {
		return
	}
	s := newService()
	server, _ := chargeServer(t, &s)
	consumertest.Run(t, func(ctx context.Context, e bus.Event) error {
		return post(ctx, server.Client(), server.URL, e.ID, true)
	}, order("1"))
}

func TestMisuseFailsTheTestClearly(t *testing.T) {
	for name, c := range misuses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMisuse$", "-test.v")
			cmd.Env = append(os.Environ(), misuseVariable+"="+name)
			out, err := cmd.CombinedOutput()
			text := string(out)
			if err == nil || !strings.Contains(text, c.want) || !strings.Contains(text, "--- FAIL: TestMisuse") || !strings.Contains(text, "misuse_test.go:") ||
				strings.Contains(text, "nothing has failed") || strings.Contains(text, "panic:") {
				t.Errorf("want %q; %v:\n%s", c.want, err, out)
			}
		})
	}
}
