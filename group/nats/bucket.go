package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/group"
)

// Names of the buckets.
const (
	MembersBucket = "onceish-members"
	GroupsBucket  = "onceish-groups"
)

// bucket is a key-value bucket and its stream. Both are handles by name: they stay valid when the
// bucket is deleted and made again.
type bucket struct {
	name   string
	ttl    time.Duration // zero: rows stay
	stream jetstream.Stream
	kv     jetstream.KeyValue
}

func (b *bucket) streamName() string { return "KV_" + b.name }

// config is what makes a stream a key-value bucket. Direct reads are off: a replica that lags would
// answer them.
func (b *bucket) config(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              b.streamName(),
		Description:       "Onceish: what the processes of consumer groups know of each other",
		Subjects:          []string{"$KV." + b.name + ".>"},
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		Discard:           jetstream.DiscardNew,
		MaxMsgsPerSubject: 1,
		MaxAge:            b.ttl,
		Duplicates:        b.ttl, // zero: the server's default
		AllowRollup:       true,
		DenyDelete:        true,
	}
}

// BucketConfigs are the configurations of the streams of the two buckets that New makes with these
// options: of members, and of groups.
func BucketConfigs(o *Options) (members, groups jetstream.StreamConfig, err error) {
	opts, err := o.withDefaults()
	if err != nil {
		return members, groups, err
	}
	m, g := opts.buckets()
	return m.config(opts.Replicas), g.config(opts.Replicas), nil
}

// buckets are the two that the options describe.
func (o *Options) buckets() (members, groups bucket) {
	return bucket{name: MembersBucket, ttl: o.MemberTTL}, bucket{name: GroupsBucket}
}

func (b *bucket) makeCommand() string {
	ttl := ""
	if b.ttl > 0 {
		ttl = fmt.Sprintf(" --ttl=%v", b.ttl)
	}
	return fmt.Sprintf("nats kv add %s --history=1%s", b.name, ttl)
}

// open finds the bucket, or makes it, and verifies it.
func (b *bucket) open(ctx context.Context, js jetstream.JetStream, o *Options) error {
	stream, err := js.Stream(ctx, b.streamName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if o.BindOnly {
			return fmt.Errorf("%w: %q: make it with: %s, or leave Options.BindOnly unset", ErrNoBucket, b.name, b.makeCommand())
		}
		if stream, err = js.CreateStream(ctx, b.config(o.Replicas)); err != nil {
			return fmt.Errorf("%w: %w", group.ErrNoStore, err)
		}
		o.Logger.Info("made bucket for groups", "bucket", b.name, "ttl", b.ttl, "replicas", o.Replicas)
	}
	if err != nil {
		return err
	}
	if err := b.verify(&stream.CachedInfo().Config); err != nil {
		return err
	}
	kv, err := js.KeyValue(ctx, b.name)
	if err != nil {
		return err
	}
	if b.stream == nil {
		b.stream, b.kv = stream, kv
	}
	return nil
}

// verify returns what makes a bucket unfit. Of members the bucket's own TTL holds once it is open.
func (b *bucket) verify(c *jetstream.StreamConfig) error {
	edit := "nats stream edit " + c.Name + " "
	expires := b.ttl > 0
	if expires && b.stream == nil && c.MaxAge >= minTTL {
		b.ttl = c.MaxAge
	}
	for _, f := range []struct {
		is        bool
		what, fix string
	}{
		{c.MaxMsgsPerSubject != 1, fmt.Sprintf("its history is %d", c.MaxMsgsPerSubject), edit + "--max-msgs-per-subject=1"},
		{c.MaxAge != b.ttl, fmt.Sprintf("its rows expire after %v, not after %v", c.MaxAge, b.ttl), fmt.Sprintf("%s--max-age=%v", edit, b.ttl)},
		{c.AllowDirect && c.Replicas > 1, "its replicas answer reads, and may lag", edit + "--no-allow-direct"},
	} {
		if f.is {
			return fmt.Errorf("%w: bucket %q: %s: %s", ErrBucketUnfit, b.name, f.what, f.fix)
		}
	}
	return nil
}

// passes reports whether opening a bucket is worth another try: others may be making it at this
// moment, or it has no leader yet.
func passes(err error) bool {
	if errors.Is(err, errNoJetStream) || errors.Is(err, nats.ErrPermissionViolation) {
		return false
	}
	return errors.Is(err, ErrNoAnswer) || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) ||
		errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrBucketNotFound)
}

// hasNoLeader reports whether a stream, or the servers, are about to elect their leader.
func hasNoLeader(err error) bool {
	e, ok := errors.AsType[*jetstream.APIError](err)
	return ok && e.Code == 503
}

// isGone reports whether a call failed because there is no bucket.
func isGone(err error) bool {
	return errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrNoStreamResponse) ||
		errors.Is(err, nats.ErrStreamNotFound) || errors.Is(err, nats.ErrNoResponders)
}
