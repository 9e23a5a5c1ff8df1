package config

import (
	"log/slog"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// tree is all there is to configure: what the file may hold, which flags and variables there are,
// what is checked of each alone, the JSON Schema and the documentation come from it.
func tree() object[Config] {
	limits := consumer.OptionLimits()
	defaults, _ := (*consumer.Options)(nil).WithDefaults("group") // defaults are valid
	return object[Config]{
		filled("group", "the name of a group such as billing", func(c *Config) *string { return &c.Group }).
			required().on("group", "GROUP").in("ONCEISH_GROUP").doc("who handles each event once"),
		under("nats", "where the bus is", func(c *Config) *NATS { return &c.NATS }, natsKeys()...),
		under("mongo", "where it is remembered what was handled, and where the outbox is", func(c *Config) *Mongo { return &c.Mongo },
			text("uri", "a URI such as mongodb://localhost:27017/billing", func(m *Mongo) *string { return &m.URI }, validMongo).
				discreet().secret().on("mongo", "URI").in("MONGODB_URI").
				doc("MongoDB that remembers what was handled, and has the outbox; without one, a key-value bucket in NATS remembers it"),
			formed("namespace", "1 to 50 letters, digits, '-' and '_'", func(m *Mongo) *string { return &m.Namespace }, namespaceForm).otherwise("none").
				on("namespace", "NAME").in("ONCEISH_NAMESPACE").
				doc("makes the worker's collections dedupe.NAME and outbox.NAME: where workers on several NATS clusters share a database, each cluster needs its own")),
		text("data_dir", "a directory", func(c *Config) *string { return &c.DataDir }, nil).
			on("data-dir", "DIRECTORY").in("ONCEISH_DATA_DIR").otherwise("$XDG_DATA_HOME/onceish or ~/.local/share/onceish").
			doc("where the worker's own server keeps its data"),
		under("log", "what the worker says, on standard error", func(c *Config) *Log { return &c.Log },
			oneOf("format", func(l *Log) *string { return &l.Format }, words("text", "json")...).
				on("log-format", "FORMAT").in("ONCEISH_LOG_FORMAT").doc("how a line of the log looks"),
			oneOf("level", func(l *Log) *string { return &l.Level }, words("debug", "info", "warn", "error")...).byDefault("info").
				on("log-level", "LEVEL").in("ONCEISH_LOG_LEVEL").doc("what is left out: all below it")),
		span("drain", func(c *Config) *time.Duration { return &c.Drain }, limits.Drain).byDefault(defaults.Drain).
			on("drain", "DURATION").doc("how long running handlers may take to finish at the end"),
		either("outbox", "a collection of mongo.uri whose rows this worker publishes", func(c *Config) **Outbox { return &c.Outbox }, outboxKeys()...),
		several("subscriptions", "what the group handles, and how; topics must not overlap",
			func(c *Config) *[]Subscription { return &c.Subscriptions }, subscriptionKeys(limits, defaults)...).without("outbox"),
	}
}

func subscriptionKeys(limits consumer.Limits, defaults *consumer.Options) []key[Subscription] {
	type s = Subscription
	return []key[Subscription]{
		pattern("topic", func(s *s) *string { return &s.Topic }).
			required().on("topic", "TOPIC").doc("topic or pattern to subscribe to, such as order.placed or 'order.>'"),
		under("handler", "who handles an event", func(s *s) *Handler { return &s.Handler }, handlerKeys()...).exactlyOne(),
		count("concurrency", func(s *s) *int { return &s.Concurrency }, limits.Concurrency).byDefault(defaults.Concurrency).
			on("concurrency", "N").doc("how many handlers run at once in this process"),
		count("max_unmarked", func(s *s) *int { return &s.MaxUnmarked }, limits.MaxUnmarked).otherwise("concurrency").
			on("max-unmarked", "N").doc("how many events may have started and not be marked: a crash repeats at most that many effects; at least concurrency"),
		count("attempts", func(s *s) *int { return &s.Attempts }, limits.MaxAttempts).byDefault(defaults.MaxAttempts).
			on("attempts", "N").doc("failures at which an event is dead-lettered"),
		count("crashes", func(s *s) *int { return &s.Crashes }, limits.MaxCrashes).byDefault(defaults.MaxCrashes).
			on("crashes", "N").doc("crashes at which an event is dead-lettered: its worker died while it ran"),
		under("backoff", "waits after failures, drawn evenly up to a bound that doubles", func(s *s) *Backoff { return &s.Backoff },
			span("base", func(b *Backoff) *time.Duration { return &b.Base }, limits.BackoffBase).byDefault(defaults.Backoff.Base).
				on("backoff-base", "DURATION").doc("longest wait after the first failure; it doubles"),
			span("max", func(b *Backoff) *time.Duration { return &b.Max }, limits.BackoffMax).byDefault(defaults.Backoff.Max).
				otherwise(formatDuration(defaults.Backoff.Max)+", or base if that is longer").
				on("backoff-max", "DURATION").doc("longest wait after any failure")),
		span("run_limit", func(s *s) *time.Duration { return &s.RunLimit }, limits.RunLimit).byDefault(defaults.RunLimit).
			otherwise(formatDuration(defaults.RunLimit)+", or 30s in mode transactional").
			on("run-limit", "DURATION").doc("how long one run may take"),
		span("lease", func(s *s) *time.Duration { return &s.Lease }, limits.Lease).byDefault(defaults.Lease).
			on("lease", "DURATION").doc("after how long another worker takes over from one that died"),
		span("ack_wait", func(s *s) *time.Duration { return &s.AckWait }, limits.AckWait).byDefault(defaults.AckWait).
			on("ack-wait", "DURATION").doc("after how long the bus delivers again"),
		span("ttl", func(s *s) *time.Duration { return &s.TTL }, limits.TTL).byDefault(defaults.TTL).
			on("ttl", "DURATION").doc("how long it is remembered what was handled; at least the ack wait, the longest backoff and the run limit together, and longer than the lease"),
		span("give_up", func(s *s) *time.Duration { return &s.GiveUp }, limits.GiveUp).byDefault(defaults.GiveUp).
			on("give-up", "DURATION").doc("after how long an event is dead-lettered that keeps being throttled, or whose receiver stays unavailable; at most half of the time that marks are kept"),
		begin("start", func(s *s) *bus.Start { return &s.Start }).
			on("start", "START").doc("where a group that is new starts: earliest, latest, or a time such as 2026-01-31T15:04:05Z"),
		text("start_stream", "a stream and its time of creation, as the refusal names it", func(s *s) *string { return &s.StartStream }, nil).otherwise("none").
			on("start-stream", "STREAM").doc("a replaced stream, as the refusal names it, in which start also says where a known group goes on"),
		topic("dead_letter", func(s *s) *string { return &s.DeadLetter }).otherwise("dead.GROUP").
			on("dead-letter", "TOPIC").doc("topic for events that are given up; it needs a stream"),
		oneOf("order", func(s *s) *Order { return &s.Order }, words(OrderKey, OrderNone, OrderTopic)...).
			on("order", "ORDER").doc("which events run one after the other: those with one key, none, or all of the topic"),
		oneOf("mode", func(s *s) *consumer.Mode { return &s.Mode }, named[consumer.Mode]{"claimed", consumer.Claimed}, named[consumer.Mode]{"seen-mark", consumer.SeenMark}, named[consumer.Mode]{"transactional", consumer.Transactional}).
			on("mode", "MODE").doc("claimed; seen-mark: cheaper, and two copies at once may both run; or transactional: mark and outbox row are committed together"),
		memberPath("id", func(s *s) *string { return &s.ID }).otherwise("the event's own").
			on("id", "PATH").doc("member of the JSON payload, such as order.id, that tells events of a topic apart; an event without it is dead-lettered"),
		oneOf("fingerprint", func(s *s) *Fingerprint { return &s.Fingerprint }, words(FingerprintBytes, FingerprintJSON, FingerprintNone)...).
			on("fingerprint", "FINGERPRINT").doc("what tells two payloads under one id apart, of which the second is dead-lettered: bytes, json (however it is written), or none"),
		perTime("rate", func(s *s) *Rate { return &s.Rate }).
			on("rate", "RATE").otherwise("no limit").doc("how many handlers may start in this process, such as 100/s, 30/m or 5/h"),
	}
}

func handlerKeys() []key[Handler] {
	return []key[Handler]{
		either("exec", "run a command by /bin/sh; a bare value is its command", func(h *Handler) **ExecHandler { return &h.Exec },
			commandLine("command", func(e *ExecHandler) *string { return &e.Command }).
				required().on("exec", "COMMAND").doc("command line to run"),
			oneOf("mode", func(e *ExecHandler) *string { return &e.Mode }, words("process", "stream")...).
				on("exec-mode", "MODE").doc("process: one for each event; stream: one that is handed many")),
		either("http", "post events to a service; a bare value is its URL", func(h *Handler) **HTTPHandler { return &h.HTTP },
			text("url", "a URL such as https://localhost:8080/events", func(h *HTTPHandler) *string { return &h.URL }, validEndpoint).
				discreet().required().secret().doc("where to post; what stands before an @ or after a ? is never shown"),
			span("timeout", func(h *HTTPHandler) *time.Duration { return &h.Timeout }, httpTimeout()).byDefault(30*time.Second).
				doc("how long one exchange may take"),
			statuses("statuses", func(h *HTTPHandler) *map[int]string { return &h.Statuses }).
				doc("what statuses mean where they mean something else than usual: done, retry, throttled, unavailable, refused or permanent"),
			headers("headers", "what to send with each event; values are never shown",
				func(h *HTTPHandler) *map[string]string { return &h.Headers }),
			headerNames("pass_headers", "headers of events that the service gets too, beside trace context, Content-Encoding, Content-Language and CloudEvents extensions",
				func(h *HTTPHandler) *[]string { return &h.PassHeaders }),
			under("tls", "files in PEM for https", func(h *HTTPHandler) *TLS { return &h.TLS }, tlsKeys("")...)),
		either("publish", "publish events to another topic; a bare value is the topic", func(h *Handler) **PublishHandler { return &h.Publish },
			topic("topic", func(p *PublishHandler) *string { return &p.Topic }).required().
				doc("topic to publish to, on the same bus; it needs a stream"),
			yesNo("outbox", func(p *PublishHandler) *bool { return &p.Outbox }).
				doc("add the event to the outbox, which publishes it, and do not wait for the bus")),
		either("log", "log events, and do nothing else", func(h *Handler) **LogHandler { return &h.Log },
			oneOf("level", func(l *LogHandler) *slog.Level { return &l.Level }, levels()...).byDefault(slog.LevelInfo).
				doc("level of the records"),
			yesNo("data", func(l *LogHandler) *bool { return &l.Data }).doc("log the beginning of the payload as well")),
	}
}

// httpTimeout bounds how long an exchange may take.
func httpTimeout() consumer.Limit[time.Duration] {
	return consumer.Limit[time.Duration]{Min: time.Millisecond, Max: day}
}

func levels() []named[slog.Level] {
	return []named[slog.Level]{{"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warn", slog.LevelWarn}, {"error", slog.LevelError}}
}

// homes are the paths of a key's name, below the top, without the places of lists.
func homes(name string) string {
	var paths []string
	var walk func(at string, specs []*spec)
	walk = func(at string, specs []*spec) {
		for _, s := range specs {
			if s.name == name {
				paths = append(paths, at)
			}
			walk(join(at, s.name), s.below)
		}
	}
	walk("", tree().specs())
	if len(paths) == 0 || paths[0] == "" {
		return strings.Join(paths, "")
	}
	return list(paths)
}
