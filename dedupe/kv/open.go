package kv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// makingPatience times Options.Timeout is how long a bucket that is being made, by this or another
// process, is waited for.
const makingPatience = 4

// openBucket makes or finds the bucket within the time of a call, and a bucket that is only being
// made within more.
func (s *Store) openBucket(ctx context.Context, o *Options) (*jetstream.StreamInfo, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := func(after time.Duration) *time.Timer {
		return time.AfterFunc(after, func() { cancel(s.unanswered(after)) })
	}
	timer := end(s.timeout)
	defer func() { timer.Stop() }()
	return prepareBucket(bounded, s.nc, o, func() {
		if s.isYoung { // each try to make the bucket says so
			return
		}
		s.isYoung = true
		timer.Stop()
		timer = end(makingPatience * s.timeout)
	})
}

// unanswered is why a call has ended that the server did not answer in time.
func (s *Store) unanswered(within time.Duration) error {
	return fmt.Errorf("%w within %v: may this user use the bucket %q, and does its stream "+
		"have a leader?", ErrNoAnswer, within, s.bucket)
}

// awaitBucket probes until the bucket answers: a cluster hears of a new one a little later, and
// elects its leader.
func (s *Store) awaitBucket(ctx context.Context) error {
	patience := s.timeout
	if s.isYoung {
		patience *= makingPatience
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, s.unanswered(patience))
	defer cancel()
	bound := max(s.timeout/8, 500*time.Millisecond)
	for try := 2; ; try++ {
		err := s.probeWithin(ctx, bound)
		passes := errors.Is(err, errNobody) || errors.Is(err, errSlow) || errors.Is(err, ErrNoBucket)
		if !passes {
			return err
		}
		if errors.Is(err, errSlow) {
			if refused := permissionError(s.nc, allowIt, s.clock.subject, s.get, s.subject); refused != nil {
				return fmt.Errorf("dedupe bucket %q: %w", s.bucket, refused)
			}
		}
		if pauseBeforeTry(ctx, try) != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		bound = min(2*bound, s.timeout)
	}
}

// errSlow is why a probe was given up for the next one.
var errSlow = errors.New("no answer yet")

func (s *Store) probeWithin(ctx context.Context, bound time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, errSlow)
	defer cancel()
	return s.probeAccess(ctx)
}

// youth is how long after it was made a bucket's stream may be about to elect its first leader.
const youth = time.Minute

func isYoung(info *jetstream.StreamInfo) bool { return info.TimeStamp.Sub(info.Created) < youth }

// findOrMake tries until the bucket can be read: others may be making it at this moment, and a
// stream whose leader is not elected yet does not answer, nor later what it was asked then. A
// request that is not permitted is never answered, and ends it. making is called when it is clear
// that the bucket is new and that JetStream answers.
func findOrMake(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, o *Options, making func()) (jetstream.Stream, error) {
	bound := max(o.Timeout/8, 500*time.Millisecond)
	for try := 2; ; try++ {
		stream, err := tryBucket(ctx, bound, nc, js, o, making)
		unanswered := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
		if unanswered {
			if refused := refusedBucket(nc, o); refused != nil {
				return nil, refused
			}
		}
		passes := unanswered || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse)
		if e, ok := errors.AsType[*jetstream.APIError](err); ok {
			passes = passes || (e.Code == 503 && !withoutJetStream(err)) || errors.Is(err, jetstream.ErrStreamNotFound)
		}
		if !passes || pauseBeforeTry(ctx, try) != nil {
			return stream, err
		}
		bound = min(2*bound, o.Timeout)
	}
}

// refusedBucket returns what this user is not permitted of what finding and making a bucket takes.
func refusedBucket(nc *nats.Conn, o *Options) error {
	name, api := streamName(o.Bucket), o.apiPrefix()
	if err := permissionError(nc, allowIt, api+"STREAM.INFO."+name); err != nil {
		return err
	}
	allowOrMake := "allow it, or have an administrator make the bucket: " + addCommand(o.Bucket)
	return permissionError(nc, allowOrMake, api+"INFO", api+"STREAM.CREATE."+name)
}

// withoutJetStream reports whether JetStream is off for the server or the account: waiting
// does not help.
func withoutJetStream(err error) bool {
	return errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
}

func tryBucket(ctx context.Context, bound time.Duration, nc *nats.Conn, js jetstream.JetStream, o *Options, making func()) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	stream, err := js.Stream(ctx, streamName(o.Bucket))
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return stream, err
	}
	if o.BindOnly {
		return nil, fmt.Errorf("%w: %q: make it with: %s, or leave Options.BindOnly unset",
			ErrNoBucket, o.Bucket, addCommand(o.Bucket))
	}
	return createBucket(ctx, nc, js, o, making)
}
