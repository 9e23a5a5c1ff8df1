package config_test

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/worker/config"
	httphandler "github.com/onceish/onceish/worker/handlers/http"
)

// env is an environment.
func env(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := variables[name]
		return v, ok
	}
}

// lint returns what is wrong with a file.
func lint(name string, data []byte, env func(string) (string, bool)) config.Problems {
	_, problems := config.Parse(name, data, env)
	return problems
}

// parseConfig reads a file without mistakes and warnings.
func parseConfig(t *testing.T, file string, variables map[string]string) *config.Config {
	t.Helper()
	c, problems := config.Parse("worker.yaml", []byte(file), env(variables))
	if len(problems) > 0 {
		t.Fatalf("%s\n%v", file, problems)
	}
	return c
}

const smallest = "group: billing\nsubscriptions:\n  - topic: order.placed\n    handler: {exec: ./charge}\n"

// defaultRate is a rate of which only the limit was said.
func defaultRate(limit config.Starts) *config.Rate {
	return &config.Rate{Limit: limit, Per: time.Second, By: "topic", MaxKeys: 10_000}
}

func TestEveryKey(t *testing.T) {
	t.Parallel()
	c := parseConfig(t, `
group: billing
nats: {url: "nats://localhost:4222", credentials: /etc/nats.creds, provision: true}
mongo: {uri: "mongodb://localhost:27017/billing"}
log: {format: json, level: warn}
drain: 10s
subscriptions:
  - topic: order.placed
    handler: {exec: {command: ./charge, mode: stream}}
    concurrency: 3
    max_unmarked: 30
    attempts: 4
    crashes: 2
    backoff: {base: 2s, max: 1m}
    run_limit: 5m
    lease: 20s
    ack_wait: 40s
    ttl: 2d
    give_up: 12h
    start: 2026-01-31T15:04:05Z
    dead_letter: lost
    order: topic
    mode: claimed
    rate: 30/m
    breaker: 7
  - topic: order.*.shipped
    handler: {http: {url: "https://u:p@example.com/x?y", timeout: 5s, statuses: "401-402=permanent, 409 = done", headers: {Authorization: "Bearer ${TOKEN}"}}}
    start: latest
    concurrency: auto:2-32
    rate: {limit: 2, per: 2s, burst: 1, strategy: token-bucket, by: header:X-Tenant, shared: true, on_outage: closed, queue: 20, max_wait: 5s, max_keys: 7}
    breaker: {failures: 3, over: 10s, wait: 1m, scope: group}
  - {topic: a, handler: {publish: b}}
  - {topic: c, handler: {log: {level: debug, data: true}}, mode: seen-mark, order: none}
  - {topic: d, handler: {log: }}
`, map[string]string{"TOKEN": "t"})
	backoff := config.Backoff{Base: time.Second, Max: 5 * time.Minute}
	subscription := func(topic string, change func(*config.Subscription)) config.Subscription {
		s := config.Subscription{
			Topic: topic, Concurrency: config.Concurrency{Max: 16}, MaxUnmarked: 16, Attempts: 10, Crashes: 5, Backoff: backoff, RunLimit: 15 * time.Minute,
			Lease: 30 * time.Second, AckWait: 30 * time.Second, TTL: 7 * 24 * time.Hour, GiveUp: 3 * 24 * time.Hour, DeadLetter: "dead.billing", Order: consumer.ByKey,
			Fingerprint: config.FingerprintBytes,
		}
		change(&s)
		return s
	}
	want := &config.Config{
		Group: "billing", NATS: config.NATS{URL: "nats://localhost:4222", Credentials: "/etc/nats.creds", MaxUnsettled: 20_000, Bucket: "onceish-dedupe", Provision: true},
		Mongo: config.Mongo{URI: "mongodb://localhost:27017/billing"}, Log: config.Log{Format: "json", Level: "warn"}, Schemas: "nats", Drain: 10 * time.Second,
		Subscriptions: []config.Subscription{
			{
				Topic: "order.placed", Handler: config.Handler{Exec: &config.ExecHandler{Command: "./charge", Mode: "stream"}},
				Concurrency: config.Concurrency{Max: 3}, MaxUnmarked: 30, Attempts: 4, Crashes: 2, Backoff: config.Backoff{Base: 2 * time.Second, Max: time.Minute},
				RunLimit: 5 * time.Minute, Lease: 20 * time.Second, AckWait: 40 * time.Second, TTL: 48 * time.Hour, GiveUp: 12 * time.Hour,
				Start: bus.Start{Time: time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)}, DeadLetter: "lost", Order: consumer.ByTopic,
				Fingerprint: config.FingerprintBytes, Rate: defaultRate(config.Starts{Count: 30, Per: time.Minute}),
				Breaker: &config.Breaker{Failures: 7, Over: time.Minute, Wait: 10 * time.Second, Scope: "process"},
			},
			subscription("order.*.shipped", func(s *config.Subscription) {
				s.Start.Latest = true
				s.Concurrency, s.MaxUnmarked = config.Concurrency{Min: 2, Max: 32}, 32
				s.Rate = &config.Rate{
					Limit: config.Starts{Count: 2}, Per: 2 * time.Second, Burst: 1, By: "header:X-Tenant", Shared: true, OnOutage: flow.FailClosed,
					Queue: 20, MaxWait: 5 * time.Second, MaxKeys: 7,
				}
				s.Breaker = &config.Breaker{Failures: 3, Over: 10 * time.Second, Wait: time.Minute, Scope: "group"}
				s.Handler.HTTP = &config.HTTPHandler{
					URL: "https://u:p@example.com/x?y", Timeout: 5 * time.Second,
					Statuses: map[int]httphandler.Meaning{401: "permanent", 402: "permanent", 409: "done"}, Headers: map[string]string{"Authorization": "Bearer t"},
					Addresses: httphandler.AnyAddress,
				}
			}),
			subscription("a", func(s *config.Subscription) { s.Handler.Publish = &config.PublishHandler{Topic: "b"} }),
			subscription("c", func(s *config.Subscription) {
				s.Handler.Log = &config.LogHandler{Level: slog.LevelDebug, Data: true}
				s.Mode, s.Order = consumer.SeenMark, consumer.Unordered
			}),
			subscription("d", func(s *config.Subscription) { s.Handler.Log = &config.LogHandler{} }),
		},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v\nwant %+v", c, want)
	}
}

// What nobody says is what the consumer would do.
func TestDefaultsAreTheConsumers(t *testing.T) {
	t.Parallel()
	c := parseConfig(t, smallest, nil)
	got, err := c.Subscriptions[0].Options()
	if err != nil {
		t.Fatal(err)
	}
	want, err := (*consumer.Options)(nil).WithDefaults("billing")
	if err != nil {
		t.Fatal(err)
	}
	if c.Drain != want.Drain {
		t.Errorf("drain %v, want %v", c.Drain, want.Drain)
	}
	for _, o := range []*consumer.Options{got, want} {
		o.Drain, o.ID, o.OrderKey, o.Fingerprint, o.FingerprintName, o.LimitKey, o.Process, o.Logger, o.HookLimit = 0, nil, nil, nil, "", nil, "", nil, 0
	}
	if !reflect.DeepEqual(got, want) { //nolint:govet // they have no session, and so no errors
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

func TestOptionsOrderAndLimit(t *testing.T) {
	t.Parallel()
	for order, want := range map[string]consumer.Order{
		"key": consumer.ByKey, "none": consumer.Unordered, "topic": consumer.ByTopic, "exclusive": consumer.Exclusive, "partitions:8": consumer.Partitions(8),
	} {
		c := parseConfig(t, with("order: "+order, "rate: 5/h"), nil)
		o, err := c.Subscriptions[0].Options()
		if err != nil {
			t.Fatal(err)
		}
		if o.Order != want {
			t.Errorf("%s: %v, want %v", order, o.Order, want)
		}
		if o.Limit == nil {
			t.Error("no limit")
		}
	}
}

// A longer first wait raises the longest, unless that is said.
func TestLongestBackoffFollowsTheFirst(t *testing.T) {
	t.Parallel()
	c := parseConfig(t, smallest+"    backoff: {base: 10m}\n", nil)
	if got := c.Subscriptions[0].Backoff.Max; got != 10*time.Minute {
		t.Errorf("%v", got)
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"N": "7", "YES": "true", "D": "5s", "X": "a: b\n- c # ${N}", "EMPTY": "", "CE_IDX": "1"}
	c := parseConfig(t, `
group: "${NONE:bill}ing${NONE:}${EMPTY:not this}"
nats: {provision: "${YES}", url: "${NONE:}"}
drain: ${D}
subscriptions:
  - topic: order.${CE_IDX}
    handler: {exec: './charge ${X} $${N} $CE_ID $$ ${N%7} ${1} $'}
    concurrency: ${N}
    run_limit: '${D}'
`, variables)
	s := c.Subscriptions[0]
	if c.Group != "billing" || !c.NATS.Provision || c.NATS.URL != "" || c.Drain != 5*time.Second || s.Topic != "order.1" || s.Concurrency.Max != 7 || s.RunLimit != 5*time.Second {
		t.Errorf("%+v", c)
	}
	if want := "./charge a: b\n- c # ${N} ${N} $CE_ID $$ ${N%7} ${1} $"; s.Handler.Exec.Command != want {
		t.Errorf("%q, want %q", s.Handler.Exec.Command, want)
	}
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	c := parseConfig(t, `
group: billing
x-backoff: &b {base: 2s}
x-attempts: &n 9
subscriptions:
  - {topic: &t a, handler: &h {exec: ./charge}, attempts: 1}
  - {topic: b, handler: *h, backoff: *b, attempts: 1, crashes: 3, lease: 2s}
  - {topic: c, handler: {exec: *t}, backoff: *b, attempts: *n, lease: 2s}
`, nil)
	var got []string
	for _, s := range c.Subscriptions {
		got = append(got, strings.Join([]string{s.Topic, s.Handler.Exec.Command, s.Lease.String(), s.Backoff.Base.String(), string(rune('0' + s.Attempts)), string(rune('0' + s.Crashes))}, " "))
	}
	want := []string{"a ./charge 30s 1s 1 5", "b ./charge 2s 2s 1 3", "c a 2s 2s 9 5"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFormOfTheFileDoesNotMatter(t *testing.T) {
	t.Parallel()
	want := parseConfig(t, smallest, nil)
	for name, file := range map[string]string{
		"BOM":     "\ufeff" + smallest,
		"CRLF":    strings.ReplaceAll(smallest, "\n", "\r\n"),
		"markers": "---\n" + smallest + "...\n",
		"flow":    `{"group": "billing", "subscriptions": [{"topic": "order.placed", "handler": {"exec": {"command": "./charge"}}}]}`,
		"tabs":    strings.ReplaceAll(smallest, ": ", ":\t"),
		"nothing": "nats:\nmongo: ~\nlog: {}\n" + smallest,
	} {
		if got := parseConfig(t, file, nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// The environment goes before the file; an empty variable is as good as none.
func TestEnvironmentGoesBeforeTheFile(t *testing.T) {
	t.Parallel()
	c := parseConfig(t, smallest+"nats: {url: 'nats://file'}\n", map[string]string{
		"NATS_URL": "nats://environment", "MONGODB_URI": "mongodb://environment", "ONCEISH_GROUP": "", "ONCEISH_LOG_LEVEL": "debug",
	})
	if c.NATS.URL != "nats://environment" || c.Mongo.URI != "mongodb://environment" || c.Group != "billing" || c.Log.Level != "debug" {
		t.Errorf("%+v", c)
	}
	if _, problems := config.Parse("w", []byte(smallest), env(map[string]string{"ONCEISH_LOG_LEVEL": "loud"})); len(problems) != 1 ||
		problems[0].String() != `ONCEISH_LOG_LEVEL: "loud" is none of debug, info, warn or error` {
		t.Errorf("%v", problems)
	}
}

// A crash repeats no more than runs at once, unless somebody asks for more.
func TestMaxUnmarkedFollowsConcurrency(t *testing.T) {
	t.Parallel()
	s := parseConfig(t, with("concurrency: 300"), nil).Subscriptions[0]
	if s.Concurrency.Max != 300 || s.MaxUnmarked != 300 {
		t.Errorf("concurrency %v, max_unmarked %d: want 300 and 300", s.Concurrency, s.MaxUnmarked)
	}
	s = parseConfig(t, with("concurrency: 300", "max_unmarked: 1000"), nil).Subscriptions[0]
	o, err := s.Options()
	if err != nil || o.MaxUnmarked != 1000 {
		t.Errorf("Options.MaxUnmarked %d, %v: want 1000", o.MaxUnmarked, err)
	}
}
