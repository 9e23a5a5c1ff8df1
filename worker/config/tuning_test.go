package config_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker/config"
)

// tuned is what a program's flags say.
func tuned(t *testing.T, args ...string) (*config.Tuning, error) {
	t.Helper()
	var out *config.Tuning
	cmd := &cli.Command{
		Name: "billing", Flags: config.TuningFlags(), DisableSliceFlagSeparator: true, Writer: io.Discard, ErrWriter: io.Discard,
		Action: func(_ context.Context, cmd *cli.Command) (err error) {
			out, err = config.TuningFromFlags(cmd)
			return err
		},
	}
	return out, cmd.Run(t.Context(), append([]string{"billing"}, args...))
}

// A program's flags go before its own options, for all topics or for one, whichever
// was given first.
func TestFlagsGoBeforeTheProgramsOptions(t *testing.T) {
	t.Parallel()
	tuning, err := tuned(t, "--concurrency", "order.>=64", "--concurrency", "8", "--attempts", "3", "--lease", "5s", "--ack-wait", "a=b=4s", "--rate", "2/s", "--backoff-base", "10m", "--start", "latest")
	if err != nil {
		t.Fatal(err)
	}
	own := &consumer.Options{Concurrency: 2, MaxUnmarked: 4, MaxAttempts: 7, MaxCrashes: 2, Backoff: consumer.Backoff{Base: time.Second, Max: time.Minute}}
	for topic, want := range map[string]int{"order.>": 64, "refund": 8} {
		o, err := tuning.Apply(topic, own)
		if err != nil {
			t.Fatal(err)
		}
		if o.Concurrency != want || o.MaxUnmarked != want || o.MaxAttempts != 3 || o.MaxCrashes != 2 || o.Lease != 5*time.Second || o.AckWait != 0 || o.Limit == nil ||
			o.Backoff != (consumer.Backoff{Base: 10 * time.Minute, Max: 10 * time.Minute}) || o.From != (bus.Start{Latest: true}) {
			t.Errorf("%s: %+v", topic, o)
		}
	}
	if own.Concurrency != 2 {
		t.Error("the program's options were changed")
	}
	if o, err := tuning.Apply("a=b", nil); err != nil || o.AckWait != 4*time.Second {
		t.Errorf("%+v, %v", o, err)
	}
	if d := tuning.ShortestLease(); d != 4*time.Second {
		t.Errorf("the shortest lease is %v", d)
	}
	if err := tuning.Check([]string{"order.>", "refund"}); err == nil || !strings.Contains(err.Error(), `--ack-wait is for the topic "a=b", and this program subscribes to order.>, refund`) {
		t.Error(err)
	}
	if err := tuning.Check([]string{"order.>", "a=b"}); err != nil {
		t.Error(err)
	}
}

func TestFlagsWithoutAMeaningAreRefusedAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := tuned(t, "--concurrency", "0", "--lease", "order.placed=soon", "--rate", "a b=1/s")
	for _, want := range []string{`--concurrency: "0" is not a whole number`, `--lease: `, `--rate: "a b" is no topic: write TOPIC=RATE`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// What flags make wrong of a program's options is the operator's to mend: the flags are named, not
// the fields of Go. What was wrong before is the program's fault.
func TestOptionsThatFlagsMakeWrongAreRefused(t *testing.T) {
	t.Parallel()
	const day, longer = "24h0m0s", "it must be longer than --lease, "
	unsafe := &consumer.Options{Unsafe: true}
	transactional := &consumer.Options{Mode: consumer.Transactional}
	for _, c := range []struct {
		own         *consumer.Options
		flags, want string
	}{
		{nil, "--ttl 10s", `topic "t": --ttl is 10s: ` + longer + "30s"},
		{nil, "--lease t=1d --ttl 1d", "--ttl is " + day + ": " + longer + day},
		{&consumer.Options{Lease: time.Hour}, "--ttl 10m", longer + "1h0m0s"},
		{nil, "--ttl 1m", "(--ack-wait 30s + --backoff-max 5m0s + --run-limit 15m0s): raise --ttl"},
		{unsafe, "--ttl 1m", ""},
		{transactional, "--run-limit 2m", "--run-limit is 2m0s: in mode"},
		{nil, "--ttl 1d", ""},
		{nil, "--ttl u=10s", ""},
		{&consumer.Options{TTL: time.Second}, "--attempts 3", ""},
	} {
		tuning, err := tuned(t, strings.Fields(c.flags)...)
		if err != nil {
			t.Fatal(err)
		}
		o, err := tuning.Apply("t", c.own)
		if err != nil {
			t.Fatal(err)
		}
		problems := tuning.Refuse("billing", "t", c.own, o)
		if c.want == "" && len(problems) > 0 || !strings.Contains(problems.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.flags, problems, c.want)
		}
	}
}

// Help says what holds where a flag is not given.
func TestHelpOfTuningFlagsSaysTheirDefaults(t *testing.T) {
	t.Parallel()
	help := make(map[string]string)
	for _, f := range config.TuningFlags() {
		help[f.Names()[0]] = f.String()
	}
	for flag, preset := range map[string]string{
		"concurrency": "16", "max-unmarked": "concurrency", "lease": "30s", "rate": "no limit",
		"run-limit": "15m, or 30s in mode transactional", "dead-letter": "dead.GROUP",
	} {
		want := "(default: what the program says, else " + preset + ")"
		if !strings.HasSuffix(help[flag], want) {
			t.Errorf("%s\nwant %s", help[flag], want)
		}
	}
}

// What flags say of rate, breaker and concurrency is for all topics or for one, key by key.
func TestFlagsOfLimitsAreForTopics(t *testing.T) {
	t.Parallel()
	tuning, err := tuned(t, "--rate", "5/s", "--rate", "a=7/h", "--rate-by", "header:X-Tenant", "--rate-shared", "b=true", "--rate-strategy", "a=sliding-log",
		"--breaker", "b=3", "--breaker-scope", "b=group", "--concurrency", "b=auto:2-8", "--attempts", "3")
	if err != nil {
		t.Fatal(err)
	}
	five, seven := *defaultRate(config.Starts{Count: 5, Per: time.Second}), *defaultRate(config.Starts{Count: 7, Per: time.Hour})
	five.By, seven.By, seven.Strategy = "header:X-Tenant", "header:X-Tenant", flow.SlidingLog
	shared := five
	shared.Shared = true
	breaker := &config.Breaker{Failures: 3, Over: time.Minute, Wait: 10 * time.Second, Scope: "group"}
	for topic, want := range map[string]config.Subscription{
		"a": {Rate: &seven}, "b": {Rate: &shared, Breaker: breaker, Concurrency: config.Concurrency{Min: 2, Max: 8}}, "c": {Rate: &five},
	} {
		if got := tuning.Flow(topic); got == nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, want %+v", topic, got, want)
		}
		o, err := tuning.Apply(topic, &consumer.Options{Concurrency: 2, MaxUnmarked: 4, LimitQueue: 1})
		if err != nil {
			t.Fatal(err)
		}
		if concurrency := max(2, want.Concurrency.Max); o.LimitKey == nil || (o.Limit == nil) != want.Rate.Shared || o.LimitQueue != 1 || o.Concurrency != concurrency || o.MaxUnmarked != max(4, concurrency) {
			t.Errorf("%s: %+v", topic, o)
		}
	}
	if tuning, err = tuned(t, "--attempts", "3", "--breaker", "a=3"); err != nil || tuning.Flow("b") != nil || tuning.Flow("a").Breaker.Failures != 3 {
		t.Errorf("%v", err)
	}
}

// A program's own key for its limit stays, unless a flag names another.
func TestKeyOfTheLimitIsTheProgramsUnlessAFlagNamesOne(t *testing.T) {
	t.Parallel()
	own := &consumer.Options{LimitKey: func(bus.Event) string { return "own" }}
	e := bus.Event{Topic: "t", Key: "k"}
	for flags, want := range map[string]string{"--rate 5/s": "own", "--rate 5/s --rate-by key": "k", "--rate 5/s --rate-by topic": ""} {
		tuning, err := tuned(t, strings.Fields(flags)...)
		if err != nil {
			t.Fatal(err)
		}
		o, err := tuning.Apply("t", own)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.LimitKey; (got == nil) != (want == "") || got != nil && got(e) != want {
			t.Errorf("%s: not %q", flags, want)
		}
	}
}

// A flag of a rate that a topic does not have is a mistake of usage, for that topic.
func TestFlagsOfARateNeedTheRate(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--rate-by key", "--rate-by t=key", "--rate u=5/s --rate-shared t=true"} {
		if _, err := tuned(t, strings.Fields(args)...); !errors.Is(err, commandline.ErrUsage) || !strings.Contains(err.Error(), "rate.limit is missing: set --rate") {
			t.Errorf("%s: %v", args, err)
		}
	}
	if _, err := tuned(t, "--rate", "5"); err == nil || err.Error() != `--rate: "5" has no unit that is known: write a rate such as 100/s, 30/m or 5/h` {
		t.Error(err)
	}
	if _, err := tuned(t, "--rate", "2000000/s", "--rate-strategy", "t=sliding-log"); err == nil || !strings.Contains(err.Error(), "a sliding-log has at most 1000000") {
		t.Error(err)
	}
	tuning, err := tuned(t, "--rate", "t=5/s", "--rate-by", "key")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tuning.Apply("t", nil); err != nil {
		t.Error(err)
	}
	_, err = tuning.Apply("u", nil)
	if want := `topic "u": --rate-by: rate.limit is missing: set --rate, or leave --rate-by out`; !errors.Is(err, commandline.ErrUsage) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Each flag of a subscription is one that an operator may set, or one that the program's
// handlers rest on.
func TestEveryFlagOfASubscriptionIsTheOperatorsOrTheProgrammers(t *testing.T) {
	t.Parallel()
	programmers := []string{"topic", "exec", "exec-mode", "order", "mode", "id", "fingerprint"}
	known := make(map[string]bool)
	for _, name := range programmers {
		known[name] = true
	}
	for _, f := range config.TuningFlags() {
		known[f.Names()[0]] = true
	}
	for _, f := range config.Flags(config.SectionSubscriptions) {
		if !known[f.Names()[0]] {
			t.Errorf("--%s is neither tunable nor the programmer's", f.Names()[0])
		}
	}
}
