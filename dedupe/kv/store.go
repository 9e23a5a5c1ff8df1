package kv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/natsrequest"
)

// Store keeps dedupe state in a JetStream key-value bucket. Safe for concurrent use. Its methods do
// not retry what failed for a passing reason, and end within Options.Timeout.
type Store struct {
	nc            *nats.Conn
	requests      requester
	clock         *clock
	claims        *claimCache
	timeout       time.Duration
	log           *slog.Logger
	warned        atomic.Bool
	isYoung       bool // the bucket was made just now
	warnedOfPings atomic.Bool
	bucket        string
	// maxSize bounds a message in bytes. Zero: only the connection does.
	maxSize int
	bounds  bucketBounds
	// subject is the prefix under which keys are published, kept that under which they are stored;
	// they differ where JetStream is reached through another domain or account.
	subject, kept string
	// get is the subject on which the stream's leader, and no replica, hands out messages.
	get string
	// purge is the subject on which keys are removed.
	purge string
}

var (
	_ dedupe.Store       = (*Store)(nil)
	_ dedupe.Claimer     = (*Store)(nil)
	_ dedupe.Noter       = (*Store)(nil)
	_ dedupe.Reopener    = (*Store)(nil)
	_ dedupe.Inspector   = (*Store)(nil)
	_ dedupe.Watermarker = (*Store)(nil)
	_ dedupe.Bounder     = (*Store)(nil)

	_ dedupe.GroupRemover = (*Store)(nil)
)

// New makes or finds the bucket, verifies it (ErrBucketUnfit), and tries whether this user may use
// it (ErrNoAnswer). It takes a few round trips. The connection stays the caller's; what New starts
// ends with Close, or with the connection. A nil o means the defaults.
func New(ctx context.Context, nc *nats.Conn, o *Options) (*Store, error) {
	return openWithClock(ctx, nc, o, time.Now)
}

func openWithClock(ctx context.Context, nc *nats.Conn, o *Options, local func() time.Time) (*Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if nc == nil {
		return nil, fmt.Errorf("%w: nc is nil: connect to NATS first", ErrInvalidOptions)
	}
	s := &Store{nc: nc, timeout: opts.Timeout, log: opts.Logger, bucket: opts.Bucket, claims: newClaimCache()}
	info, err := s.openBucket(ctx, &opts)
	if err != nil {
		return nil, err
	}
	s.maxSize = max(0, int(info.Config.MaxMsgSize))
	s.bounds = bucketBounds{bytes: max(0, info.Config.MaxBytes), msgs: max(0, info.Config.MaxMsgs)}
	s.requests = &pipelinedRequester{nc: nc, pipeline: natsrequest.New(nc, opts.Window)}
	s.setSubjects(&opts)
	s.clock = newClock(nc, s.requests, opts.apiPrefix()+"STREAM.INFO."+streamName(opts.Bucket), local)
	if err := s.awaitBucket(ctx); err != nil {
		return nil, errors.Join(err, s.requests.close())
	}
	return s, nil
}

func (s *Store) setSubjects(o *Options) {
	api := o.apiPrefix()
	s.kept = "$KV." + o.Bucket + "."
	s.subject = s.kept
	if api != defaultAPI {
		s.subject = api + s.kept
	}
	s.get = api + "STREAM.MSG.GET." + streamName(o.Bucket)
	s.purge = api + "STREAM.PURGE." + streamName(o.Bucket)
}

// probeAccess takes each way that the store needs, without leaving a trace: its write names a
// revision that no key has.
func (s *Store) probeAccess(ctx context.Context) error {
	if _, err := s.clock.now(ctx); err != nil {
		return fmt.Errorf("dedupe bucket %q: %w", s.bucket, err)
	}
	if _, err := s.readMessages(ctx, []string{kindProbe}); err != nil {
		return fmt.Errorf("dedupe bucket %q: a read on %s: %w", s.bucket, s.get, err)
	}
	ws, err := s.writeAll(ctx, []keyWrite{{key: kindProbe, ttl: time.Second, expect: expectRevision(1 << 60)}})
	if err == nil && !errors.Is(ws[0].err, errConflict) {
		err = ws[0].err
	}
	if err != nil {
		return fmt.Errorf("dedupe bucket %q: a write on %s: %w", s.bucket, s.subject+">", err)
	}
	return nil
}

// Close ends the store's subscription; calls in progress end with ErrClosed. Repeated
// calls do nothing.
func (s *Store) Close() error { return s.requests.close() }

// beginCall bounds one call, unless it has ended before.
func (s *Store) beginCall(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, s.unanswered(s.timeout))
	return ctx, cancel, nil
}
