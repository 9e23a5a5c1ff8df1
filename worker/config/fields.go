package config

import (
	"log/slog"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	httphandler "github.com/onceish/onceish/worker/handlers/http"
)

// configFields is all there is to configure: what the file may hold, which flags and variables
// there are, what is checked of each alone, the JSON Schema and the documentation come from it.
func configFields() fieldSet[Config] {
	limits := consumer.OptionLimits()
	defaults, _ := (*consumer.Options)(nil).WithDefaults("group") // defaults are valid
	return fieldSet[Config]{
		nonEmptyField("group", "the name of a group such as billing", func(c *Config) *string { return &c.Group }).
			markRequired().withFlag("group", "GROUP").fromEnv("ONCEISH_GROUP").describedAs("who handles each event once"),
		memberNameField("name", func(c *Config) *string { return &c.Name }).withDefaultText("none").
			withFlag("name", "NAME").fromEnv("ONCEISH_NAME").
			describedAs("name of this process that it keeps over a restart, such as that of a StatefulSet's pod: with order partitions it gets its own back"),
		objectField("nats", "where the bus is", func(c *Config) *NATS { return &c.NATS }, natsKeys()...),
		objectField("mongo", "where it is remembered what was handled, and where the outbox is", func(c *Config) *Mongo { return &c.Mongo },
			textField("uri", "a URI such as mongodb://localhost:27017/billing", func(m *Mongo) *string { return &m.URI }, validMongo).
				markSecret().withFlag("mongo", "URI").fromEnv("MONGODB_URI").
				describedAs("MongoDB that remembers what was handled, and has the outbox; without one, a key-value bucket in NATS remembers it"),
			patternField("namespace", "1 to 50 letters, digits, '-' and '_'", func(m *Mongo) *string { return &m.Namespace }, namespaceForm).withDefaultText("none").
				withFlag("namespace", "NAME").fromEnv("ONCEISH_NAMESPACE").
				describedAs("makes the worker's collections dedupe.NAME and outbox.NAME: where workers on several NATS clusters share a database, each cluster needs its own")),
		textField("data_dir", "a directory", func(c *Config) *string { return &c.DataDir }, nil).
			withFlag("data-dir", "DIRECTORY").fromEnv("ONCEISH_DATA_DIR").withDefaultText("$XDG_DATA_HOME/onceish or ~/.local/share/onceish").
			describedAs("where the worker's own server keeps its data"),
		objectField("log", "what the worker says, on standard error", func(c *Config) *Log { return &c.Log },
			enumField("format", func(l *Log) *string { return &l.Format }, selfNamed("text", "json")...).
				withFlag("log-format", "FORMAT").fromEnv("ONCEISH_LOG_FORMAT").describedAs("how a line of the log looks"),
			enumField("level", func(l *Log) *string { return &l.Level }, selfNamed("debug", "info", "warn", "error")...).withDefault("info").
				withFlag("log-level", "LEVEL").fromEnv("ONCEISH_LOG_LEVEL").describedAs("what is left out: all below it")),
		strictField(),
		durationField("drain", func(c *Config) *time.Duration { return &c.Drain }, limits.Drain).withDefault(defaults.Drain).
			withFlag("drain", "DURATION").describedAs("how long running handlers may take to finish at the end"),
		optionalField("admin", "an HTTP API for operators; a bare value is its address", func(c *Config) **Admin { return &c.Admin }, adminKeys()...).
			givenByAnyFlag(notServed),
		optionalField("metrics", "metrics for Prometheus; a bare value is their address", func(c *Config) **Metrics { return &c.Metrics }, metricsKeys()...).
			givenByAnyFlag(notServed),
		topicPartitionsField("partitions", func(c *Config) *map[string]int { return &c.Partitions }),
		optionalField("outbox", "a collection of mongo.uri whose rows this worker publishes", func(c *Config) **Outbox { return &c.Outbox }, outboxKeys()...),
		schemasField(),
		optionalField("provision", "what streams and buckets are to be, for worker provision", func(c *Config) **Provision { return &c.Provision }, provisionKeys()...),
		listField("subscriptions", "what the group handles, and how; topics must not overlap", "outbox",
			func(c *Config) *[]Subscription { return &c.Subscriptions }, subscriptionKeys(limits, defaults)...),
	}
}

// What holds where nobody gives a rate, or a breaker.
const (
	noLimit   = "no limit"
	noBreaker = "no breaker"
)

func subscriptionKeys(limits consumer.Limits, defaults *consumer.Options) []field[Subscription] {
	type s = Subscription
	return append([]field[Subscription]{
		topicPatternField("topic", func(s *s) *string { return &s.Topic }).
			markRequired().withFlag("topic", "TOPIC").describedAs("topic or pattern to subscribe to, such as order.placed or 'order.>'"),
		objectField("handler", "who handles an event", func(s *s) *Handler { return &s.Handler }, handlerKeys()...).requireExactlyOne(),
		concurrencyField("concurrency", func(s *s) *Concurrency { return &s.Concurrency }, limits.Concurrency, defaults.Concurrency).
			withFlag("concurrency", "N").describedAs("how many handlers run at once in this process; auto: as many as their receiver can do, from 1 to 64, or in a range such as auto:2-32"),
		intField("max_unmarked", func(s *s) *int { return &s.MaxUnmarked }, limits.MaxUnmarked).withDefaultText("concurrency").
			withFlag("max-unmarked", "N").describedAs("how many events may have started and not be marked: a crash repeats at most that many effects; at least concurrency"),
		intField("attempts", func(s *s) *int { return &s.Attempts }, limits.MaxAttempts).withDefault(defaults.MaxAttempts).
			withFlag("attempts", "N").describedAs("failures at which an event is dead-lettered"),
		intField("crashes", func(s *s) *int { return &s.Crashes }, limits.MaxCrashes).withDefault(defaults.MaxCrashes).
			withFlag("crashes", "N").describedAs("crashes at which an event is dead-lettered: its worker died while it ran"),
		objectField("backoff", "waits after failures, drawn evenly up to a bound that doubles", func(s *s) *Backoff { return &s.Backoff },
			durationField("base", func(b *Backoff) *time.Duration { return &b.Base }, limits.BackoffBase).withDefault(defaults.Backoff.Base).
				withFlag("backoff-base", "DURATION").describedAs("longest wait after the first failure; it doubles"),
			durationField("max", func(b *Backoff) *time.Duration { return &b.Max }, limits.BackoffMax).withDefault(defaults.Backoff.Max).
				withDefaultText(FormatDuration(defaults.Backoff.Max)+", or base if that is longer").
				withFlag("backoff-max", "DURATION").describedAs("longest wait after any failure")),
		durationField("run_limit", func(s *s) *time.Duration { return &s.RunLimit }, limits.RunLimit).withDefault(defaults.RunLimit).
			withDefaultText(FormatDuration(defaults.RunLimit)+", or 30s in mode transactional").
			withFlag("run-limit", "DURATION").describedAs("how long one run may take"),
		durationField("lease", func(s *s) *time.Duration { return &s.Lease }, limits.Lease).withDefault(defaults.Lease).
			withFlag("lease", "DURATION").describedAs("after how long another worker takes over from one that died"),
		durationField("ack_wait", func(s *s) *time.Duration { return &s.AckWait }, limits.AckWait).withDefault(defaults.AckWait).
			withFlag("ack-wait", "DURATION").describedAs("after how long the bus delivers again"),
		durationField("ttl", func(s *s) *time.Duration { return &s.TTL }, limits.TTL).withDefault(defaults.TTL).
			withFlag("ttl", "DURATION").describedAs("how long it is remembered what was handled; at least the ack wait, the longest backoff and the run limit together, and longer than the lease"),
		durationField("give_up", func(s *s) *time.Duration { return &s.GiveUp }, limits.GiveUp).withDefault(defaults.GiveUp).
			withFlag("give-up", "DURATION").describedAs("after how long an event is dead-lettered that keeps being throttled, or whose receiver stays unavailable; at most half of the time that marks are kept"),
		startField("start", func(s *s) *bus.Start { return &s.Start }).
			withFlag("start", "START").describedAs("where a group that is new starts: earliest, latest, or a time such as 2026-01-31T15:04:05Z"),
		textField("start_stream", "a stream and its time of creation, as the refusal names it", func(s *s) *string { return &s.StartStream }, nil).withDefaultText("none").
			withFlag("start-stream", "STREAM").describedAs("a replaced stream, as the refusal names it, in which start also says where a known group goes on"),
		topicField("dead_letter", func(s *s) *string { return &s.DeadLetter }).withDefaultText("dead.GROUP").
			withFlag("dead-letter", "TOPIC").describedAs("topic for events that are given up; it needs a stream"),
		orderField("order", func(s *s) *consumer.Order { return &s.Order }).
			withFlag("order", "ORDER").describedAs("which events run one after the other: those with one key, in this process; none; all of the topic; " +
			"with exclusive, those with one key, in one process of the group; with partitions:N, those with one key, over all processes"),
		enumField("mode", func(s *s) *consumer.Mode { return &s.Mode }, namedValue[consumer.Mode]{"claimed", consumer.Claimed}, namedValue[consumer.Mode]{"seen-mark", consumer.SeenMark}, namedValue[consumer.Mode]{"transactional", consumer.Transactional}).
			withFlag("mode", "MODE").describedAs("claimed; seen-mark: cheaper, and two copies at once may both run; or transactional: mark and outbox row are committed together"),
		memberPathField("id", func(s *s) *string { return &s.ID }).withDefaultText("the event's own").
			withFlag("id", "PATH").describedAs("member of the JSON payload, such as order.id, that tells events of a topic apart; an event without it is dead-lettered"),
		enumField("fingerprint", func(s *s) *Fingerprint { return &s.Fingerprint }, selfNamed(FingerprintBytes, FingerprintJSON, FingerprintNone)...).
			withFlag("fingerprint", "FINGERPRINT").describedAs("what tells two payloads under one id apart, of which the second is dead-lettered: bytes, json (however it is written), or none"),
	}, leverKeys(limits)...)
}

// leverKeys are those that hold starts back.
func leverKeys(limits consumer.Limits) []field[Subscription] {
	type s = Subscription
	return []field[Subscription]{
		optionalField("rate", "how many handlers may start over time; a bare value is the limit, such as 100/s", func(s *s) **Rate { return &s.Rate }, rateKeys(limits)...).
			givenByAnyFlag(noLimit),
		optionalField("breaker", "holds starts back while what handlers depend on fails; a bare value is the failures", func(s *s) **Breaker { return &s.Breaker }, breakerKeys()...).
			givenByAnyFlag(noBreaker),
		optionalField("defer", "sums up the events of a key beyond a limit; a bare value is the limit, such as 5/m", func(s *s) **Defer { return &s.Defer }, deferKeys(limits)...),
		optionalField("schema", "checks events before they are handled; a bare value says which: registered or all", func(s *s) **EventSchema { return &s.Schema }, schemaKeys()...),
	}
}

func handlerKeys() []field[Handler] {
	type level = namedValue[slog.Level]
	return []field[Handler]{
		optionalField("exec", "run a command by /bin/sh; a bare value is its command", func(h *Handler) **ExecHandler { return &h.Exec },
			commandField("command", func(e *ExecHandler) *string { return &e.Command }).
				markRequired().withFlag("exec", "COMMAND").describedAs("command line to run"),
			enumField("mode", func(e *ExecHandler) *string { return &e.Mode }, selfNamed("process", "stream")...).
				withFlag("exec-mode", "MODE").describedAs("process: one for each event; stream: one that is handed many"),
			batchField("hand over several events at once, in mode stream; write {} for the defaults", func(e *ExecHandler) **Batch { return &e.Batch })),
		optionalField("http", "post events to a service; a bare value is its URL", func(h *Handler) **HTTPHandler { return &h.HTTP },
			textField("url", "a URL such as https://localhost:8080/events", func(h *HTTPHandler) *string { return &h.URL }, httphandler.CheckEndpoint).
				markRequired().markSecret().describedAs("where to post; what stands before an @ or after a ? is never shown"),
			durationField("timeout", func(h *HTTPHandler) *time.Duration { return &h.Timeout }, consumer.Limit[time.Duration]{Min: time.Millisecond, Max: day}).withDefault(30*time.Second).
				describedAs("how long one exchange may take"),
			statusesField("statuses", func(h *HTTPHandler) *map[int]httphandler.Meaning { return &h.Statuses }).
				describedAs("what statuses mean where they mean something else than usual: done, retry, throttled, unavailable, refused, permanent or gone"),
			headersField("headers", "what to send with each event; values are never shown",
				func(h *HTTPHandler) *map[string]string { return &h.Headers }),
			headerNamesField("pass_headers", "headers of events that the service gets too, beside trace context, Content-Encoding, Content-Language and CloudEvents extensions",
				func(h *HTTPHandler) *[]string { return &h.PassHeaders }),
			objectField("tls", "files in PEM for https", func(h *HTTPHandler) *TLS { return &h.TLS }, tlsKeys("")...),
			objectField("signing", "secrets that requests are signed with, as Standard Webhooks has it; each adds a signature", func(h *HTTPHandler) *Signing { return &h.Signing },
				signingSecretsField("secrets", func(s *Signing) *[]string { return &s.Secrets }),
				secretFilesField("files", "files that hold one secret each; read at the start", func(s *Signing) *[]string { return &s.Files })),
			enumField("addresses", func(h *HTTPHandler) *httphandler.Addresses { return &h.Addresses }, selfNamed(httphandler.AnyAddress, httphandler.PublicAddresses)...).
				describedAs("to which addresses connections are made: any, or public, which refuses those inside of a network once the host is resolved"),
			optionalField("per_host", "bounds what this process posts to the host of the URL, over all subscriptions that post there", func(h *HTTPHandler) **PerHost { return &h.PerHost }, perHostKeys()...),
			batchField("post several events in one request, in CloudEvents' batch content mode; write {} for the defaults", func(h *HTTPHandler) **Batch { return &h.Batch })),
		optionalField("publish", "publish events to another topic; a bare value is the topic", func(h *Handler) **PublishHandler { return &h.Publish },
			topicField("topic", func(p *PublishHandler) *string { return &p.Topic }).markRequired().
				describedAs("topic to publish to, on the same bus; it needs a stream"),
			boolField("outbox", func(p *PublishHandler) *bool { return &p.Outbox }).
				describedAs("add the event to the outbox, which publishes it, and do not wait for the bus")),
		optionalField("project", "keep a collection of MongoDB that has a document for each key, as its latest event says; see docs/state.md", func(h *Handler) **ProjectHandler { return &h.Project },
			projectKeys()...),
		optionalField("log", "log events, and do nothing else", func(h *Handler) **LogHandler { return &h.Log },
			enumField("level", func(l *LogHandler) *slog.Level { return &l.Level },
				level{"debug", slog.LevelDebug}, level{"info", slog.LevelInfo}, level{"warn", slog.LevelWarn}, level{"error", slog.LevelError}).withDefault(slog.LevelInfo).
				describedAs("level of the records"),
			boolField("data", func(l *LogHandler) *bool { return &l.Data }).describedAs("log the beginning of the payload as well")),
	}
}

// parentsOf are the paths of a key's name, below the top, without the places of lists.
func parentsOf(name string) string {
	var paths []string
	var walk func(at string, specs []*fieldInfo)
	walk = func(at string, specs []*fieldInfo) {
		for _, s := range specs {
			if s.name == name {
				paths = append(paths, at)
			}
			if s.name != "handler" || at != "subscriptions.defer" { // a handler belongs to its subscription first
				walk(joinPath(at, s.name), s.children)
			}
		}
	}
	walk("", configFields().fieldInfos())
	if len(paths) == 0 || paths[0] == "" {
		return strings.Join(paths, "")
	}
	return orList(paths)
}
