package kv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/internal/natsserver"
)

const (
	defaultAPI = jetstream.DefaultAPIPrefix
	// OldestServer is the oldest release of nats-server that New takes: the first that has a
	// TTL per message.
	OldestServer = natsserver.Oldest
	// levelTTL is the JetStream API level of OldestServer.
	levelTTL = 1
	// minMessage is the least that a message must be able to hold: the longest reason, all of it
	// escaped, and the rest of a row.
	minMessage = 32 << 10
)

func streamName(bucket string) string { return "KV_" + bucket }

// prepareBucket makes or finds the bucket, verifies it, and returns what its stream is.
func prepareBucket(ctx context.Context, nc *nats.Conn, o *Options, making func()) (*jetstream.StreamInfo, error) {
	if err := natsserver.Check(nc); err != nil {
		return nil, fmt.Errorf("dedupe bucket %q: %w", o.Bucket, err)
	}
	js, err := natsserver.JetStream(nc, o.Domain, o.APIPrefix)
	if err != nil {
		return nil, fmt.Errorf("%w: Domain is %q, APIPrefix is %q: %w", ErrInvalidOptions, o.Domain, o.APIPrefix, err)
	}
	replicas, err := topicReplicas(ctx, js, o.Topics)
	if err != nil {
		if missing := permissionError(nc, allowIt, o.apiPrefix()+"STREAM.NAMES", o.apiPrefix()+"STREAM.INFO."); missing != nil {
			err = missing
		}
		return nil, fmt.Errorf("dedupe bucket %q: replicas of the streams of %q: %w", o.Bucket, o.Topics, classifyFailure(ctx, nc, err))
	}
	o.Replicas = cmp.Or(o.Replicas, replicas, 1)
	stream, err := findOrMake(ctx, nc, js, o, making)
	if errors.Is(err, ErrNoBucket) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("dedupe bucket %q: %w", o.Bucket, classifyFailure(ctx, nc, err))
	}
	info := stream.CachedInfo()
	if isYoung(info) {
		making()
	}
	if n := info.Config.Replicas; n < replicas {
		o.Logger.Warn("dedupe bucket has fewer replicas than the stream: the loss of a server can take marks, and not the events that they are of: "+
			"nats stream edit "+info.Config.Name+" --replicas="+strconv.Itoa(replicas), "bucket", o.Bucket, "replicas", n, "topics", o.Topics, "stream_replicas", replicas)
	}
	return info, verifyBucket(info, int(nc.MaxPayload()), o)
}

// topicReplicas is the most that a stream of the topics has; 0 if there is none.
func topicReplicas(ctx context.Context, js jetstream.JetStream, topics []string) (replicas int, err error) {
	for _, topic := range topics {
		names := js.StreamNames(ctx, jetstream.WithStreamListSubject(topic))
		for name := range names.Name() {
			stream, failed := js.Stream(ctx, name)
			if failed == nil {
				replicas = max(replicas, stream.CachedInfo().Config.Replicas)
			} else if !errors.Is(failed, jetstream.ErrStreamNotFound) { // else it has just gone
				err = errors.Join(err, failed)
			}
		}
		if failed := names.Err(); failed != nil && !errors.Is(failed, jetstream.ErrEndOfData) {
			err = errors.Join(err, failed)
		}
	}
	return replicas, err
}

// classifyFailure tells the end of the call's own time, and a lost connection, from what the
// server answered.
func classifyFailure(ctx context.Context, nc *nats.Conn, err error) error {
	if errors.Is(err, nats.ErrPermissionViolation) {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if withoutJetStream(err) || errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("no JetStream answers at %s: enable it for the server (nats-server -js) and for this account, or see Options.Domain and APIPrefix: %w",
			nc.ConnectedAddr(), err)
	}
	return connectionError(nc, err)
}

// createBucket makes the bucket. It calls making once the server has answered that it can.
func createBucket(
	ctx context.Context, nc *nats.Conn, js jetstream.JetStream, o *Options, making func(),
) (jetstream.Stream, error) {
	account, err := js.AccountInfo(ctx)
	if err != nil {
		return nil, err
	}
	if account.API.Level < levelTTL {
		return nil, fmt.Errorf("%w: it is nats-server %s, with JetStream API level %d, which keeps no TTL per message, so marks would stay for ever: "+
			"upgrade it to %s or later", ErrServerTooOld, nc.ConnectedServerVersion(), account.API.Level, OldestServer)
	}
	making()
	return js.CreateStream(ctx, bucketConfig(o))
}

// BucketConfig is the configuration of the stream of a bucket that New makes with these options.
// Options.Topics are not looked at.
func BucketConfig(o *Options) (jetstream.StreamConfig, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	opts.Replicas = cmp.Or(opts.Replicas, 1)
	return bucketConfig(&opts), nil
}

// bucketConfig is what makes a stream a key-value bucket. Direct reads are off: a replica that lags
// would answer them. There are no limit markers: an expired key just goes.
func bucketConfig(o *Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              streamName(o.Bucket),
		Description:       "Onceish: who may run the handler for an event, and which events are done",
		Subjects:          []string{"$KV." + o.Bucket + ".>"},
		Storage:           jetstream.FileStorage,
		Replicas:          o.Replicas,
		Discard:           jetstream.DiscardNew,
		MaxMsgsPerSubject: 1,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		AllowRollup:       true,
		DenyDelete:        true,
		AllowMsgTTL:       true,
	}
}

// bucketFault is what makes a bucket unfit, and the command that mends it.
type bucketFault struct {
	is        bool
	what, fix string
}

func verifyBucket(info *jetstream.StreamInfo, maxPayload int, o *Options) error {
	c := &info.Config
	edit := "nats stream edit " + c.Name + " "
	faults := []bucketFault{
		{!c.AllowMsgTTL, "it does not allow a TTL per message, so marks would stay for ever", edit + "--allow-msg-ttl (nats-server 2.11 or later)"},
		{c.MaxMsgsPerSubject != 1, fmt.Sprintf("its history is %d: an older revision would come back when the last one expires", c.MaxMsgsPerSubject), edit + "--max-msgs-per-subject=1"},
		{c.MaxAge != 0, fmt.Sprintf("it forgets all after %v, watermarks too", c.MaxAge.Round(time.Second)), edit + "--max-age=0s"},
		{c.Discard != jetstream.DiscardNew && isBounded(c), "it is bounded and drops the oldest marks when full", edit + "--discard=new"},
		{c.Mirror != nil || len(c.Sources) > 0, "it is a mirror or has sources: others write it", "use a bucket of its own"},
		{c.Sealed, "it is sealed: nothing can be written", "use another bucket"},
		{c.SubjectTransform != nil, "it transforms subjects, so no key would be found", "use a bucket without a subject transform"},
		{!slices.Equal(c.Subjects, []string{"$KV." + o.Bucket + ".>"}), fmt.Sprintf("its subjects are %q", c.Subjects), "use a stream made as a key-value bucket"},
		{maxPayload < minMessage, fmt.Sprintf("the server takes %d bytes in a message, %d are needed", maxPayload, minMessage), "raise max_payload of the server"},
		{c.MaxMsgSize > 0 && c.MaxMsgSize < minMessage, fmt.Sprintf("it takes %d bytes in a message, %d are needed", c.MaxMsgSize, minMessage), edit + "--max-msg-size=-1"},
	}
	for _, f := range faults {
		if f.is {
			return fmt.Errorf("%w: bucket %q: %s: %s", ErrBucketUnfit, o.Bucket, f.what, f.fix)
		}
	}
	if c.Storage == jetstream.MemoryStorage {
		o.Logger.Warn("dedupe bucket is in memory: a restart of its servers forgets all marks", "bucket", o.Bucket)
	}
	return nil
}

func isBounded(c *jetstream.StreamConfig) bool { return c.MaxBytes > 0 || c.MaxMsgs > 0 }
