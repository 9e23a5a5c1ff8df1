package config_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker/config"
)

func everything() []config.Section {
	return []config.Section{
		config.SectionGroup, config.SectionName, config.SectionPartitions, config.SectionSubscriptions, config.SectionDrain, config.SectionMongo, config.SectionNATS, config.SectionDataDir, config.SectionLog,
		config.SectionStrict,
	}
}

// run runs a command line with the flags of some sections.
func run(t *testing.T, sections []config.Section, action func(*cli.Command) error, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := &cli.Command{
		Name: "worker", Flags: config.Flags(sections...), Writer: &out, ErrWriter: &out, OnUsageError: commandline.UsageError,
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Action:         func(_ context.Context, cmd *cli.Command) error { return action(cmd) },
	}
	err := cmd.Run(t.Context(), append([]string{"worker"}, args...))
	return out.String(), err
}

// load is what a command line and a file say; no file if it is "".
func load(t *testing.T, file string, args ...string) (c *config.Config, warnings config.Problems, err error) {
	t.Helper()
	name := ""
	if file != "" {
		name = filepath.Join(t.TempDir(), "worker.yaml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = run(t, everything(), func(cmd *cli.Command) error {
		c, warnings, err = config.Load(cmd, name)
		return err
	}, args...)
	return c, warnings, err
}

// clean leaves nothing of the environment that flags look at.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"NATS_URL", "NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_CERT", "NATS_KEY", "NATS_INBOX_PREFIX", "ONCEISH_NAMESPACE", "MONGODB_URI", "ONCEISH_GROUP", "ONCEISH_NAME", "ONCEISH_PARTITIONS", "ONCEISH_DATA_DIR", "ONCEISH_LOG_FORMAT", "ONCEISH_LOG_LEVEL", "ONCEISH_STRICT",
	} {
		t.Setenv(name, "")
	}
}

func TestFlagsAloneMakeOneSubscription(t *testing.T) {
	clean(t)
	c, _, err := load(t, "", "--topic", "order.>", "--group", "g", "--exec", "./a", "--exec-mode", "stream", "--concurrency", "3", "--max-unmarked", "5", "--attempts", "4", "--crashes", "2",
		"--backoff-base", "10m", "--run-limit", "1h", "--lease", "5s", "--ack-wait", "6s", "--ttl", "2d", "--drain", "7s", "--dead-letter", "d", "--start", "latest",
		"--mode", "claimed", "--order", "none", "--rate", "5/s", "--rate-by", "key", "--rate-shared", "--rate-strategy", "sliding-log",
		"--breaker", "3", "--breaker-over", "20s", "--breaker-wait", "2s", "--breaker-scope", "group", "--nats", "nats://h", "--nats-creds", "f", "--nats-ca", "ca", "--nats-cert", "c", "--nats-key", "k", "--nats-inbox-prefix", "_IN.b",
		"--nats-domain", "hub", "--nats-stream", "ORDERS", "--nats-envelopes", "--nats-max-unsettled", "7", "--nats-bucket", "b", "--nats-replicas", "3",
		"--id", "order.id", "--fingerprint", "json", "--mongo", "mongodb://h", "--namespace", "eu", "--provision",
		"--data-dir", "dir", "--log-format", "json", "--log-level", "debug")
	if err != nil {
		t.Fatal(err)
	}
	s := c.Subscriptions[0]
	rate := *defaultRate(config.Starts{Count: 5, Per: time.Second})
	rate.By, rate.Shared, rate.Strategy = "key", true, flow.SlidingLog
	breaker := config.Breaker{Failures: 3, Over: 20 * time.Second, Wait: 2 * time.Second, Scope: "group"}
	if len(c.Subscriptions) != 1 || s.Topic != "order.>" || *s.Handler.Exec != (config.ExecHandler{Command: "./a", Mode: "stream"}) || s.Concurrency != (config.Concurrency{Max: 3}) || s.MaxUnmarked != 5 || s.Attempts != 4 ||
		s.Crashes != 2 || s.Backoff != (config.Backoff{Base: 10 * time.Minute, Max: 10 * time.Minute}) || s.RunLimit != time.Hour || s.Lease != 5*time.Second ||
		s.AckWait != 6*time.Second || s.TTL != 48*time.Hour || s.DeadLetter != "d" || !s.Start.Latest || s.Order != consumer.Unordered || *s.Rate != rate || *s.Breaker != breaker ||
		s.ID != "order.id" || s.Fingerprint != config.FingerprintJSON {
		t.Errorf("%+v", s)
	}
	nats := config.NATS{
		URL: "nats://h", Credentials: "f", TLS: config.TLS{CA: "ca", Certificate: "c", Key: "k"}, InboxPrefix: "_IN.b", Domain: "hub", Stream: "ORDERS",
		Envelopes: true, MaxUnsettled: 7, Bucket: "b", Replicas: 3, Provision: true,
	}
	if c.Group != "g" || c.Drain != 7*time.Second || c.NATS != nats || c.Mongo != (config.Mongo{URI: "mongodb://h", Namespace: "eu"}) ||
		c.DataDir != "dir" || c.Log != (config.Log{Format: "json", Level: "debug"}) {
		t.Errorf("%+v", c)
	}
}

func TestFlagGoesBeforeEnvironmentBeforeFileBeforeDefault(t *testing.T) {
	clean(t)
	file := smallest + "log: {level: warn}\nnats: {url: 'nats://file', provision: true}\n"
	level := func(args ...string) string {
		c, _, err := load(t, file, args...)
		if err != nil {
			t.Fatal(err)
		}
		return c.Log.Level + " " + c.Log.Format + " " + c.NATS.URL
	}
	if got := level(); got != "warn text nats://file" {
		t.Error(got)
	}
	t.Setenv("ONCEISH_LOG_LEVEL", "error")
	t.Setenv("NATS_URL", "nats://environment")
	if got := level(); got != "error text nats://environment" {
		t.Error(got)
	}
	if got := level("--log-level", "debug", "--nats", ""); got != "debug text " {
		t.Error(got)
	}
	if c, _, err := load(t, file, "--provision=false"); err != nil || c.NATS.Provision {
		t.Errorf("%+v %v", c, err)
	}
}

func TestFlagOfASubscriptionIsForAllOfTheFile(t *testing.T) {
	clean(t)
	file := with("lease: 10s") + "  - {topic: b, lease: 1d, ttl: 9d, handler: {log: }}\n"
	c, _, err := load(t, file, "--lease", "3s", "--group", "other", "--exec-mode", "stream")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := c.Subscriptions[0], c.Subscriptions[1]; a.Lease != 3*time.Second || b.Lease != 3*time.Second || b.TTL != 9*24*time.Hour || a.Handler.Exec.Mode != "stream" ||
		b.Handler.Exec != nil || c.Group != "other" || a.DeadLetter != "dead.other" {
		t.Errorf("%+v", c)
	}
}

func TestWrongFlags(t *testing.T) {
	clean(t)
	needed := []string{"--topic", "t", "--group", "g", "--exec", "./a"}
	for _, c := range []struct {
		file string
		args []string
		want string
	}{
		{"", nil, "3 mistakes:\n  --group: it is required: who handles each event once\n  --topic: it is required: topic or pattern to subscribe to, such as order.placed or 'order.>'\n  --exec: it is required: command line to run"},
		{"", []string{"--topic", "t", "--group", "g", "--exec", ""}, "--exec: it is empty: it must be a command line"},
		{"", append(needed, "--lease", "5"), `--lease: "5" has no unit: write 5s for seconds, or 5ms, 5m, 5h, 5d`},
		{"", append(needed, "--run-limit", "8d"), "--run-limit: --ttl is 7d, but an event may be redelivered for longer (--ack-wait 30s + --backoff-max 5m + --run-limit 8d): raise --ttl or lower the others"},
		{"", append(needed, "--dead-letter", "t"), `--dead-letter: the topic "t" also receives its own dead letters, on "t": set --dead-letter to another topic`},
		{"", append(needed, "--max-unmarked", "3"), "--max-unmarked: --max-unmarked is 3: it must be at least --concurrency, 16"},
		{"", append(needed, "--lease", "7d", "--ttl", "7d"), `--lease: "7d" is not a duration from 100ms to 1d`},
		{"", []string{"--topic", "t", "--group", "a b", "--exec", "./a"}, `--group: "a b" gives no topic for dead letters (dead.GROUP): name a group without spaces, and without dots at its ends, or set --dead-letter`},
		{smallest, []string{"--run-limit", "8d"}, "--run-limit: ttl is 7d, but an event may be redelivered for longer (ack_wait 30s + backoff.max 5m + --run-limit 8d): raise ttl or lower the others"},
		{"", append(needed, "--log-level", "inf"), `--log-level: "inf" is none of debug, info, warn or error: did you mean "info"?`},
		{"", append(needed, "--mongo", "u:hunter2@h"), "--mongo: it does not begin with mongodb:// or mongodb+srv://"},
		{"", append(needed, "--backoff-base", "2s", "--backoff-max", "1s"), "--backoff-base: --backoff-base is 2s, longer than --backoff-max 1s: raise the second or lower the first"},
		{smallest, []string{"--topic", "t", "--exec", "a"}, "wrong usage: --exec and --topic and a file: write topics and handlers into the file"},
		{"", append(needed, "--concurrency", "auto:9-8"), `--concurrency: "auto:9-8" begins with the larger number: write auto:8-9`},
		{"", append(needed, "--rate", "5"), `--rate: "5" has no unit that is known: write a rate such as 100/s, 30/m or 5/h`},
		{with("rate: 9/s"), []string{"--rate", "5"}, `--rate: "5" has no unit that is known: write a rate such as 100/s, 30/m or 5/h`},
		{"", append(needed, "--rate-by", "key"), "--rate-by: subscriptions[0].rate.limit is missing: set --rate, or leave --rate-by out"},
		{"", append(needed, "--rate", "5/s", "--rate-by", "tenant"), `--rate-by: "tenant" is not topic, key, type or header:NAME`},
		{"", append(needed, "--rate", "20000/s", "--rate-strategy", "sliding-log", "--rate-shared"), "--rate: --rate is 20000/s: a sliding-log that is shared has at most 10000, for it remembers each start; use sliding-window"},
		{with("rate: 5/s") + "  - {topic: b, handler: {log: }}\n", []string{"--rate-shared"}, "--rate-shared: subscriptions[1].rate.limit is missing: set --rate, or leave --rate-shared out"},
		{with("rate: {limit: 5, per: 2s}"), []string{"--rate", "7/s"}, "subscriptions[0].rate.per: --rate is 7/s and rate.per is 2s: write limit: 7, per: 2s"},
		{with("rate: {limit: 5, burst: 2}"), []string{"--rate-strategy", "fixed-window"}, "subscriptions[0].rate.burst: rate.burst is for token-bucket, and --rate-strategy is fixed-window: remove one"},
		{smallest + "  - {topic: b, handler: {log: }}\n", []string{"--lease", "1y"}, `--lease: "1y" is no duration: write one such as 500ms, 30s, 15m, 12h or 7d`},
	} {
		if _, _, err := load(t, c.file, c.args...); err == nil || withoutPlace(err) != c.want || !errors.Is(err, commandline.ErrUsage) {
			t.Errorf("%q:\n%v\nwant\n%v", c.args, err, c.want)
		}
	}
	if _, _, err := load(t, with("lease: 5")); err == nil || !strings.Contains(err.Error(), "worker.yaml:5:12: subscriptions[0].lease") {
		t.Errorf("%v", err)
	}
	if _, warnings, err := load(t, with("mode: seen-mark", "crashes: 3")); err != nil || len(warnings) != 1 {
		t.Errorf("%v %v", warnings, err)
	}
}

// withoutPlace is an error without where in which file it is.
func withoutPlace(err error) string {
	return regexp.MustCompile(`^\S+worker\.yaml:\d+:\d+: `).ReplaceAllString(err.Error(), "")
}

// Beside a file, a flag of a limit or a breaker sets that key, and a breaker is there by any flag.
func TestFlagsOfLimitsAreForAllOfTheFile(t *testing.T) {
	clean(t)
	c, _, err := load(t, with("rate: {limit: 2, per: 2s}", "breaker: {wait: 3s}")+"  - {topic: b, rate: 5/h, handler: {log: }}\n", "--rate-by", "key", "--breaker-over", "20s", "--concurrency", "auto")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range c.Subscriptions {
		wait := []time.Duration{3 * time.Second, 10 * time.Second}[i]
		if s.Rate.By != "key" || *s.Breaker != (config.Breaker{Failures: 5, Over: 20 * time.Second, Wait: wait, Scope: "process"}) ||
			s.Concurrency != (config.Concurrency{Min: 1, Max: 64}) || s.MaxUnmarked != 64 {
			t.Errorf("%+v %+v %+v", s, s.Rate, s.Breaker)
		}
	}
	c, _, err = load(t, with("rate: {limit: 2, per: 2s}"), "--rate", "7")
	if err != nil || c.Subscriptions[0].Rate.FlowRate() != (flow.Rate{Limit: 7, Per: 2 * time.Second}) {
		t.Errorf("%v", err)
	}
}

// A command that has the flags of some sections alone needs no others.
func TestSections(t *testing.T) {
	clean(t)
	t.Setenv("ONCEISH_LOG_LEVEL", "warn")
	sections := []config.Section{config.SectionNATS, config.SectionLog, config.SectionDrain}
	_, err := run(t, sections, func(cmd *cli.Command) error {
		c, err := config.FromFlags(cmd, sections...)
		if err == nil && (c.NATS.URL != "nats://h" || c.Log.Level != "warn" || c.Log.Format != "text" || c.Drain != 25*time.Second || len(c.Subscriptions) != 0) {
			t.Errorf("%+v", c)
		}
		return err
	}, "--nats", "nats://h")
	if err != nil {
		t.Error(err)
	}
	_, err = run(t, sections, func(cmd *cli.Command) error {
		_, err := config.FromFlags(cmd, sections...)
		return err
	}, "--drain", "soon")
	if !errors.Is(err, commandline.ErrUsage) {
		t.Errorf("%v", err)
	}
}

// Help has defaults, placeholders and the names of variables, never what the environment holds.
func TestHelpShowsNothingOfTheEnvironment(t *testing.T) {
	for _, name := range []string{
		"NATS_URL", "NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_CERT", "NATS_KEY", "NATS_INBOX_PREFIX", "ONCEISH_NAMESPACE", "MONGODB_URI", "ONCEISH_GROUP", "ONCEISH_DATA_DIR", "ONCEISH_LOG_FORMAT", "ONCEISH_LOG_LEVEL",
	} {
		t.Setenv(name, "hunter2")
	}
	out, err := run(t, everything(), func(*cli.Command) error { return nil }, "--help")
	if err != nil || strings.Contains(out, "hunter2") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"--lease DURATION ", "(default: 30s)", "--nats URL ", "[$NATS_URL]", "--provision ", "--ttl DURATION ", "(default: 7d)", "--log-level LEVEL ", "(default: info)", "(default: dead.GROUP)"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, args := range [][]string{nil, {"--nats", "x://hunter2"}} {
		t.Setenv("NATS_CREDS", "")
		if _, _, err := load(t, smallest, args...); err == nil || strings.Contains(strings.ReplaceAll(err.Error(), `FORMAT: "hunter2"`, ""), "://hunter2") {
			t.Errorf("%v", err)
		}
	}
}
