package kv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/internal/serverclock"
)

// DefaultBucket is the bucket of an Options that names none.
const DefaultBucket = "onceish-limits"

var (
	// ErrInvalidOptions is returned by New when a field of Options is out of bounds.
	ErrInvalidOptions = errors.New("invalid options of the key-value store of limits")
	// ErrDisconnected is returned when the connection is down. It passes.
	ErrDisconnected = errors.New("NATS connection is down")
)

// Options of a Store. The zero value, and nil, are the defaults.
type Options struct {
	// Bucket is the key-value bucket, 1 to 200 letters, digits, '_' and '-'. Empty: DefaultBucket.
	Bucket string
	// Replicas of a bucket that the store makes, 1 to 5. Zero: 1. An existing bucket keeps its own.
	Replicas int
	// Logger is told, once, when idle rows cannot be removed. Nil: slog.Default().
	Logger *slog.Logger
	// now is the clock of this machine; tests skew it.
	now func() time.Time
}

var bucketName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,200}$`)

// Store keeps shared limits in a bucket. It is safe for concurrent use, starts no goroutine, and
// needs no closing: the connection is its caller's.
type Store struct {
	js         jetstream.JetStream
	options    Options
	clock      *serverclock.Clock
	stream     atomic.Pointer[jetstream.Stream]
	reconnects atomic.Uint64
	warnOnce   sync.Once
}

var (
	_ flow.Store  = (*Store)(nil)
	_ flow.Lister = (*Store)(nil)
)

// New returns the store in a bucket. It calls nothing: a server that is down then does no harm.
func New(js jetstream.JetStream, o *Options) (*Store, error) {
	opts, err := o.withDefaults()
	switch {
	case js == nil:
		return nil, fmt.Errorf("%w: JetStream is nil", ErrInvalidOptions)
	case err != nil:
		return nil, err
	}
	s := &Store{js: js, options: opts}
	s.clock = serverclock.New(opts.now, s.askTime, maxDoubt)
	return s, nil
}

func (o *Options) withDefaults() (Options, error) {
	opts := *cmp.Or(o, &Options{})
	opts.Bucket = cmp.Or(opts.Bucket, DefaultBucket)
	opts.Replicas = cmp.Or(opts.Replicas, 1)
	opts.Logger = cmp.Or(opts.Logger, slog.Default())
	if opts.now == nil {
		opts.now = time.Now
	}
	switch {
	case !bucketName.MatchString(opts.Bucket):
		return opts, fmt.Errorf("%w: Bucket is %q: it must be 1 to 200 letters, digits, '_' and '-'", ErrInvalidOptions, opts.Bucket)
	case opts.Replicas < 1 || opts.Replicas > 5:
		return opts, fmt.Errorf("%w: Replicas is %d: it must be 1 to 5, or 0 for 1", ErrInvalidOptions, opts.Replicas)
	}
	return opts, nil
}

// maxDoubt is how badly the server's time may be known.
const maxDoubt = time.Second

func (s *Store) askTime(ctx context.Context) (time.Time, error) {
	stream, err := s.openBucket(ctx)
	if err != nil {
		return time.Time{}, err
	}
	info, err := stream.Info(ctx)
	if err != nil {
		s.stream.Store(nil) // it may be gone, and is made again
		return time.Time{}, err
	}
	return info.TimeStamp, nil
}

// Prepare makes the bucket if it is not there. It need not be called, and may be repeated.
func (s *Store) Prepare(ctx context.Context) error {
	_, err := s.openBucket(ctx)
	return err
}

// openBucket finds or makes the bucket. Several may make it at a time.
func (s *Store) openBucket(ctx context.Context) (jetstream.Stream, error) {
	if opened := s.stream.Load(); opened != nil {
		return *opened, nil
	}
	stream, err := s.findBucket(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = s.js.CreateStream(ctx, bucketConfig(&s.options))
	}
	if err != nil {
		return nil, s.nameCall("open", err)
	}
	s.stream.Store(&stream)
	return stream, nil
}

// findBucket finds the bucket, and makes nothing.
func (s *Store) findBucket(ctx context.Context) (jetstream.Stream, error) {
	if !s.js.Conn().IsConnected() {
		return nil, ErrDisconnected
	}
	return s.js.Stream(ctx, "KV_"+s.options.Bucket)
}

// BucketConfig is the configuration of the stream of a bucket that a store makes with these
// options.
func BucketConfig(o *Options) (jetstream.StreamConfig, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	return bucketConfig(&opts), nil
}

// bucketConfig is what makes a stream a key-value bucket. Direct reads are off: a replica that lags
// would answer them.
func bucketConfig(o *Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              "KV_" + o.Bucket,
		Description:       "Onceish: limits that processes share",
		Subjects:          []string{"$KV." + o.Bucket + ".>"},
		Storage:           jetstream.FileStorage,
		Replicas:          o.Replicas,
		Discard:           jetstream.DiscardNew,
		MaxMsgsPerSubject: 1,
		AllowRollup:       true,
		DenyDelete:        true,
		AllowMsgTTL:       true,
	}
}

func (s *Store) subject(key string) string { return "$KV." + s.options.Bucket + "." + key }

// publishSubject is where a row is published to: JetStream of another domain or account takes it
// under its API's prefix.
func (s *Store) publishSubject(key string) string {
	o := s.js.Options()
	switch prefix := strings.TrimSuffix(o.APIPrefix, ".") + "."; {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API." + s.subject(key)
	case o.APIPrefix != "" && prefix != jetstream.DefaultAPIPrefix:
		return prefix + s.subject(key)
	}
	return s.subject(key)
}

// Now implements flow.Store.
func (s *Store) Now(ctx context.Context) (now time.Time, doubt time.Duration, err error) {
	if n := s.js.Conn().Stats().Reconnects; s.reconnects.Swap(n) != n {
		s.clock.Distrust()
	}
	at, err := s.clock.Read(ctx)
	if err != nil {
		return now, 0, s.nameCall("server's time", err)
	}
	return at.Time, at.Doubt, nil
}

// Swap implements flow.Store, in one round trip, or two if another process was faster.
func (s *Store) Swap(ctx context.Context, key string, revision uint64, data []byte, ttl time.Duration) (flow.Row, error) {
	stream, err := s.openBucket(ctx)
	if err != nil {
		return flow.Row{}, err
	}
	if !s.js.Conn().IsConnected() { // what is published would be sent much later
		return flow.Row{}, s.nameCall("swap", ErrDisconnected)
	}
	name := escapeKey(key)
	opts := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithRetryAttempts(0)}
	if stream.CachedInfo().Config.AllowMsgTTL {
		opts = append(opts, jetstream.WithMsgTTL(wholeSeconds(ttl)))
	} else {
		s.warnOnce.Do(func() {
			s.options.Logger.Warn("bucket of shared limits has no TTL for each key; idle rows stay: nats stream edit KV_"+s.options.Bucket+" --allow-msg-ttl", "bucket", s.options.Bucket)
		})
	}
	ack, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: s.publishSubject(name), Data: data, Header: nats.Header{}}, opts...)
	switch {
	case err == nil:
		return flow.Row{Data: data, Revision: ack.Sequence}, nil
	case isConflict(err):
		return s.readConflict(ctx, stream, s.subject(name))
	}
	s.distrust()
	return flow.Row{}, s.nameCall("swap", err)
}

// readConflict returns ErrConflict and the row that was in the way; none if it has just expired.
func (s *Store) readConflict(ctx context.Context, stream jetstream.Stream, subject string) (flow.Row, error) {
	m, err := stream.GetLastMsgForSubject(ctx, subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return flow.Row{}, flow.ErrConflict
	case err != nil:
		s.distrust()
		return flow.Row{}, s.nameCall("read", err)
	}
	return flow.Row{Data: m.Data, Revision: m.Sequence}, flow.ErrConflict
}

// distrust makes the next call find the bucket, and measure its leader's time, again.
func (s *Store) distrust() {
	s.stream.Store(nil)
	s.clock.Distrust()
}

// isConflict reports whether the server has another revision. Replicated streams have a code of
// their own for it.
func isConflict(err error) bool {
	e, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// wholeSeconds rounds up, as the server counts a TTL in seconds.
func wholeSeconds(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}

func (s *Store) nameCall(call string, err error) error {
	return fmt.Errorf("flow/kv: %s in the bucket %s: %w", call, s.options.Bucket, err)
}
