package nats

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/internal/backoff"
	"github.com/onceish/onceish/internal/natsserver"
	"github.com/onceish/onceish/internal/percent"
	"github.com/onceish/onceish/schema"
)

// makingPatience times Options.Timeout is how long a bucket that is being made is waited for.
const makingPatience = 2

// Store is a schema.Store in JetStream. It needs no closing; the connection is its user's.
type Store struct {
	nc      *nats.Conn
	options Options
	stream  jetstream.Stream
	kv      jetstream.KeyValue
}

var _ schema.Store = (*Store)(nil)

// New opens the bucket on a connection, and makes it unless it exists. It blocks until that
// answers, at most for twice Options.Timeout.
func New(ctx context.Context, nc *nats.Conn, o *Options) (*Store, error) {
	options, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := natsserver.Check(nc); err != nil {
		return nil, fmt.Errorf("schema store: %w", err)
	}
	js, err := natsserver.JetStream(nc, options.Domain, options.APIPrefix, jetstream.WithDefaultTimeout(options.Timeout))
	if err != nil {
		return nil, fmt.Errorf("%w: Domain is %q, APIPrefix is %q: %w", ErrInvalidOptions, options.Domain, options.APIPrefix, err)
	}
	s := &Store{nc: nc, options: options}
	bounded, cancel := context.WithTimeout(ctx, makingPatience*options.Timeout)
	defer cancel()
	for try := 0; ; try++ {
		err := s.call(bounded, func(ctx context.Context) error { return s.open(ctx, js) })
		if err == nil {
			return s, nil
		}
		if !passes(err) || backoff.Sleep(bounded, backoff.Doubled(50*time.Millisecond, try, time.Second)) != nil {
			return nil, err
		}
	}
}

// passes reports whether opening is worth another try: another process may be making the bucket at
// this moment.
func passes(err error) bool {
	return errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || errors.Is(err, ErrNoAnswer) && !errors.Is(err, nats.ErrPermissionViolation)
}

func (s *Store) streamName() string { return "KV_" + s.options.Bucket }

// StreamConfig is the configuration of the stream of the bucket that New makes with these options.
func StreamConfig(o *Options) (jetstream.StreamConfig, error) {
	options, err := o.withDefaults()
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	return options.streamConfig(), nil
}

// streamConfig makes a stream a key-value bucket. Direct reads are off: a replica that lags would
// answer them.
func (o *Options) streamConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              "KV_" + o.Bucket,
		Description:       "Onceish: schemas of events",
		Subjects:          []string{"$KV." + o.Bucket + ".>"},
		Storage:           jetstream.FileStorage,
		Replicas:          o.Replicas,
		Discard:           jetstream.DiscardNew,
		MaxMsgsPerSubject: 1,
		AllowRollup:       true,
		DenyDelete:        true,
	}
}

// open finds the bucket, or makes it.
func (s *Store) open(ctx context.Context, js jetstream.JetStream) error {
	stream, err := js.Stream(ctx, s.streamName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if s.options.BindOnly {
			return err
		}
		if stream, err = js.CreateStream(ctx, s.options.streamConfig()); err == nil {
			s.options.Logger.Info("made bucket for schemas", "bucket", s.options.Bucket, "replicas", s.options.Replicas)
		}
	}
	if err != nil {
		return err
	}
	if err := verify(&stream.CachedInfo().Config); err != nil {
		return err
	}
	s.kv, err = js.KeyValue(ctx, s.options.Bucket)
	s.stream = stream
	return err
}

// verify returns what makes a bucket unfit.
func verify(c *jetstream.StreamConfig) error {
	edit := "nats stream edit " + c.Name + " "
	switch {
	case c.MaxAge > 0:
		return fmt.Errorf("%w: %q: its keys expire after %v: %s--max-age=0", ErrBucketUnfit, c.Name, c.MaxAge, edit)
	case c.Discard != jetstream.DiscardNew:
		return fmt.Errorf("%w: %q: it drops its oldest keys when it is full: %s--discard=new", ErrBucketUnfit, c.Name, edit)
	case c.AllowDirect && c.Replicas > 1:
		return fmt.Errorf("%w: %q: its replicas answer reads, and may lag: %s--no-allow-direct", ErrBucketUnfit, c.Name, edit)
	}
	return nil
}

// Subjects implements schema.Store. It takes one request, or more with very many versions.
func (s *Store) Subjects(ctx context.Context) ([]schema.Subject, error) {
	head := "$KV." + s.options.Bucket + "."
	var out []schema.Subject
	err := s.call(ctx, func(ctx context.Context) error {
		info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(head+"*.*.1"))
		if err != nil {
			return err
		}
		for subject := range info.State.Subjects {
			if of, ok := parseKey(strings.TrimPrefix(subject, head)); ok {
				out = append(out, of)
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b schema.Subject) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), strings.Compare(a.Type, b.Type))
	})
	return out, err
}

// Versions implements schema.Store. It takes a request for each version, and one more.
func (s *Store) Versions(ctx context.Context, subject schema.Subject, above int) (out []schema.Version, err error) {
	for n := max(above, 0) + 1; ; n++ {
		var entry jetstream.KeyValueEntry
		err := s.call(ctx, func(ctx context.Context) (err error) {
			entry, err = s.kv.Get(ctx, keyOf(subject, n))
			return err
		})
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		v, err := schema.DecodeVersion(entry.Value(), subject, n)
		if err != nil {
			return nil, fmt.Errorf("bucket %q, key %q: %w", s.options.Bucket, entry.Key(), err)
		}
		out = append(out, v)
	}
}

// Add implements schema.Store.
func (s *Store) Add(ctx context.Context, v schema.Version) error {
	if err := v.Validate(); err != nil {
		return err
	}
	text, err := v.Encode()
	if err != nil {
		return err
	}
	var value bytes.Buffer
	if err := json.Compact(&value, text); err != nil {
		return err
	}
	return s.call(ctx, func(ctx context.Context) error {
		if v.Number > 1 {
			_, err := s.kv.Get(ctx, keyOf(v.Subject, v.Number-1))
			if errors.Is(err, jetstream.ErrKeyNotFound) {
				return fmt.Errorf("%w: version %d of %s: there is none before it", schema.ErrConflict, v.Number, v.Subject)
			}
			if err != nil {
				return err
			}
		}
		_, err := s.kv.Create(ctx, keyOf(v.Subject, v.Number), value.Bytes())
		if errors.Is(err, jetstream.ErrKeyExists) {
			return fmt.Errorf("%w: version %d of %s", schema.ErrConflict, v.Number, v.Subject)
		}
		return err
	})
}

// call calls f for the time of one call, and explains its error.
func (s *Store) call(ctx context.Context, f func(context.Context) error) error {
	if !s.nc.IsConnected() {
		return fmt.Errorf("%w: %w", ErrDisconnected, nats.ErrConnectionReconnecting)
	}
	bounded, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	return s.explain(ctx, f(bounded))
}

// explain says what an error means to the caller.
func (s *Store) explain(ctx context.Context, err error) error {
	bucket := s.options.Bucket
	switch {
	case err == nil || errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, schema.ErrConflict) || errors.Is(err, ErrBucketUnfit):
		return err
	case errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("%w: %q: add a schema, or make it with: nats kv add %s --history=1: %w", ErrNoBucket, bucket, bucket, err)
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return context.Cause(ctx)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("bucket %q: the version is larger than the server's max_payload: leave out samples, or descriptions: %w", bucket, err)
	case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("bucket %q: %w", bucket, err)
	}
	api, put := s.options.apiPrefix(), "$KV."+bucket+"."
	if api != jetstream.DefaultAPIPrefix {
		put = api + put
	}
	stream := s.streamName()
	if missing := natsserver.PermissionError(s.nc, put, api+"STREAM.INFO."+stream, api+"STREAM.MSG.GET."+stream, api+"STREAM.CREATE."+stream); missing != nil {
		return fmt.Errorf("bucket %q: %w: %w", bucket, ErrNoAnswer, missing)
	}
	return fmt.Errorf("bucket %q: %w: does its stream have a leader, and may this user use it? %w", bucket, ErrNoAnswer, err)
}

// keyOf is the key of a version.
func keyOf(s schema.Subject, number int) string {
	s = s.WithDefaults()
	return escape(s.Topic) + "." + escape(s.Type) + "." + strconv.Itoa(number)
}

// parseKey reads the subject of a key.
func parseKey(key string) (schema.Subject, bool) {
	tokens := strings.Split(key, ".")
	if len(tokens) != 3 {
		return schema.Subject{}, false
	}
	topic, topicOK := percent.Decode('=', tokens[0], isPlain)
	eventType, typeOK := percent.Decode('=', tokens[1], isPlain)
	return schema.Subject{Topic: topic, Type: eventType}, topicOK && typeOK
}

// escape writes one token of a key. It is injective.
func escape(s string) string { return string(percent.Append(nil, '=', s, isPlain)) }

// isPlain reports whether a byte stands for itself; others are "=XX".
func isPlain(c byte) bool { return percent.LetterOrDigit(c) || c == '-' || c == '_' || c == '/' }
