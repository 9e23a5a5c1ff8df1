package config

import (
	"log/slog"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/outbox"
	httphandler "github.com/onceish/onceish/worker/handlers/http"
)

// Config is what a worker is told: by its file, its flags and its environment. What Load and Parse
// return has every default filled in.
type Config struct {
	// Group is who handles each event once.
	Group string
	// Name is that of this process's place in its group, across restarts. Empty: it has none.
	Name  string
	NATS  NATS
	Mongo Mongo
	// DataDir is where the worker's own server keeps its data, if there is no other.
	// Empty: nobody said.
	DataDir string
	Log     Log
	// Strict refuses what lets others read secrets: connections without TLS that leave this
	// machine, passwords on the command line, and files of secrets that everybody may read.
	Strict bool
	// Drain is how long running handlers may take to finish at the end.
	Drain time.Duration
	// Admin is the HTTP API that the worker serves. Nil: none.
	Admin *Admin
	// Metrics is where the worker serves its metrics. Nil: nowhere.
	Metrics *Metrics
	// Partitions are how many partitions this process publishes to, by topic. Topics that are not
	// in it are published to as they are.
	Partitions map[string]int
	// Schemas is where schemas of events are: SchemasInNATS, or a folder.
	Schemas string
	// Outbox is what the worker publishes from. Nil: none.
	Outbox *Outbox
	// Provision is what streams and buckets are to be. Nil: what the worker makes of those that
	// are missing.
	Provision *Provision
	// Subscriptions are what the group consumes; their topics do not overlap. With an Outbox
	// there may be none.
	Subscriptions []Subscription
}

// NATS is where the bus is.
type NATS struct {
	// URL may hold a password: do not show it. Empty: a server of the worker's own.
	URL string
	// Credentials is a file with a user's JWT and seed, NKey one with a seed alone. Empty: none.
	Credentials, NKey string
	TLS               TLS
	// InboxPrefix is what the subjects of answers begin with. Empty: _INBOX.
	InboxPrefix string
	// Domain and APIPrefix say under which subjects JetStream is reached. Empty: the server's own.
	Domain, APIPrefix string
	// Stream is where a topic is looked for first. Empty: all streams are asked.
	Stream string
	// Envelopes reads CloudEvents in structured mode that no header announces.
	Envelopes bool
	// MaxUnsettled is how many deliveries of a group may be in flight.
	MaxUnsettled int
	// Bucket is the key-value bucket that keeps marks where no MongoDB does.
	Bucket string
	// Replicas are those of streams and of a bucket that the worker makes. Zero: nobody said.
	Replicas int
	// Provision makes streams that are missing.
	Provision bool
}

// TLS are files in PEM. Empty: none.
type TLS struct {
	// CA are the authorities that are trusted, instead of those of the machine.
	CA string
	// Certificate and Key are those of the client.
	Certificate, Key string
}

// Mongo is where marks are kept, and the outbox.
type Mongo struct {
	// URI may hold a password: do not show it. Empty: marks are kept in NATS, and there
	// is no outbox.
	URI string
	// Namespace is what the names of the worker's collections end with. Empty: nothing.
	Namespace string
}

// Outbox is a collection whose rows are published.
type Outbox struct {
	Collection string
	// Attempts is the number of refusals at which a row is dead.
	Attempts int
	Backoff  Backoff
	// AfterDead is what happens to the rows of a key behind one that is dead.
	AfterDead outbox.AfterDead
	Lease     time.Duration
	// Retention is how long rows are kept that were sent.
	Retention time.Duration
}

// Log is what the worker writes to standard error.
type Log struct {
	// Format is "text" or "json".
	Format string
	// Level is "debug", "info", "warn" or "error".
	Level string
}

// Subscription is one topic, or pattern, of the group, and who handles its events.
type Subscription struct {
	Topic   string
	Handler Handler
	// Concurrency is how many handlers run at once in this process.
	Concurrency Concurrency
	// MaxUnmarked is how many events may have started and not be marked: a crash repeats at most
	// that many effects.
	MaxUnmarked int
	// Attempts and Crashes are the numbers of failures and of crashes at which an event
	// is dead-lettered.
	Attempts, Crashes             int
	Backoff                       Backoff
	RunLimit, Lease, AckWait, TTL time.Duration
	// GiveUp is how old an event may get that is throttled, or whose receiver is unavailable.
	GiveUp time.Duration
	// Start is where a new group starts.
	Start bus.Start
	// StartStream is the incarnation of a replaced stream in which Start also says where a known
	// group goes on; see consumer.Options.FromStream.
	StartStream string
	// DeadLetter is the topic for events that are given up.
	DeadLetter string
	// Order says which events run one after the other, and in which processes.
	Order consumer.Order
	Mode  consumer.Mode
	// ID is where in the payload the identity of an event is, member by member. Empty: it is
	// the event's own.
	ID string
	// Fingerprint says what tells two payloads under one id apart.
	Fingerprint Fingerprint
	// Rate is how many handlers may start over time. Nil: there is no limit.
	Rate *Rate
	// Breaker holds starts back while handlers fail. Nil: there is none.
	Breaker *Breaker
	// Defer sums up events beyond a limit. Nil: nothing is deferred.
	Defer *Defer
	// Schema checks events before they are handled. Nil: they are not checked.
	Schema *EventSchema
}

// Backoff is the longest wait after the first failure, which doubles, and the longest after any.
type Backoff struct{ Base, Max time.Duration }

// Fingerprint says what tells two payloads under one id apart.
type Fingerprint string

const (
	// FingerprintBytes is every byte.
	FingerprintBytes Fingerprint = "bytes"
	// FingerprintJSON is what the JSON says, however it is written.
	FingerprintJSON Fingerprint = "json"
	// FingerprintNone is nothing: the id is all that counts.
	FingerprintNone Fingerprint = "none"
)

// Handler is who handles events: one of its fields is set.
type Handler struct {
	Exec    *ExecHandler
	HTTP    *HTTPHandler
	Publish *PublishHandler
	Project *ProjectHandler
	Log     *LogHandler
}

// givenKeys are the keys of what is set.
func (h *Handler) givenKeys() (names []string) {
	for _, one := range []struct {
		name string
		set  bool
	}{{"exec", h.Exec != nil}, {"http", h.HTTP != nil}, {"publish", h.Publish != nil}, {"project", h.Project != nil}, {"log", h.Log != nil}} {
		if one.set {
			names = append(names, one.name)
		}
	}
	return names
}

// ExecHandler runs a command.
type ExecHandler struct {
	Command string
	// Mode is "process", one for each event, or "stream", one for many.
	Mode string
	// Batch hands over several events at once, in mode stream. Nil: each by itself.
	Batch *Batch
}

// HTTPHandler posts events.
type HTTPHandler struct {
	// URL may hold a password: do not show it.
	URL string
	// Timeout is for a whole exchange.
	Timeout time.Duration
	// Statuses are what statuses mean where that is not the usual.
	Statuses map[int]httphandler.Meaning
	// Headers are sent with each event. Their values may be secrets: do not show them.
	Headers map[string]string
	// PassHeaders are names of events' headers that are sent too.
	PassHeaders []string
	TLS         TLS
	Signing     Signing
	// Addresses says to which addresses connections are made.
	Addresses httphandler.Addresses
	// PerHost bounds what this process posts to the host of the URL. It is the same for all
	// subscriptions that post there, also for those that do not give it. Nil: there is no bound.
	PerHost *PerHost
	// Batch posts several events in one request. Nil: each has its own.
	Batch *Batch
}

// Signing is what requests are signed with. Empty: they are not.
type Signing struct {
	// Secrets begin with whsec_: do not show them.
	Secrets []string
	// Files hold one such secret each.
	Files []string
}

// PublishHandler publishes events to another topic.
type PublishHandler struct {
	Topic string
	// Outbox adds them to the outbox, from which they are published.
	Outbox bool
}

// LogHandler logs events.
type LogHandler struct {
	Level slog.Level
	// Data logs the beginning of the payload as well.
	Data bool
}
