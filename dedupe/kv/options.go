package kv

import (
	"cmp"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What Options mean by zero.
const (
	DefaultBucket  = "onceish-dedupe"
	DefaultTimeout = 5 * time.Second
	DefaultWindow  = 1000
)

// maxWindow stays below the 10,000 requests that a server queues for its API before it
// drops them all.
const maxWindow = 8000

// Options of New. The zero value means the defaults.
type Options struct {
	// Bucket is the key-value bucket; its stream is KV_<Bucket>. Empty: DefaultBucket.
	Bucket string
	// BindOnly: the bucket must exist, and New makes none. It is verified all the same.
	BindOnly bool
	// Topics are what the marks are of, patterns allowed: a bucket that New makes gets as many
	// replicas as their streams have, and one that has fewer is warned of. It takes
	// $JS.API.STREAM.NAMES, and STREAM.INFO of those streams. Empty: no streams are looked at.
	Topics []string
	// Replicas of a bucket that New makes, 1 to 5. Zero: those of the streams of Topics, or 1. An
	// existing bucket keeps its own.
	Replicas int
	// Domain is the JetStream domain to work in. At most one of Domain and APIPrefix is set.
	Domain string
	// APIPrefix is the prefix of the JetStream API, with or without the dot at its end, where it is
	// imported from another account. Empty: "$JS.API".
	APIPrefix string
	// Timeout bounds each call. Zero: DefaultTimeout.
	Timeout time.Duration
	// Window is how many requests of this Store may wait for their answers at once, over all calls,
	// 1 to 8,000. Zero: DefaultWindow.
	Window int
	// Logger is told what needs an operator. Nil: slog.Default().
	Logger *slog.Logger
}

var bucketName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,200}$`)

func (o *Options) withDefaults() (Options, error) {
	r := *cmp.Or(o, &Options{})
	r.Bucket = cmp.Or(r.Bucket, DefaultBucket)
	r.Timeout = cmp.Or(r.Timeout, DefaultTimeout)
	r.Window = cmp.Or(r.Window, DefaultWindow)
	r.Logger = cmp.Or(r.Logger, slog.Default())
	err := r.validate()
	return r, err
}

func (o *Options) validate() error {
	switch {
	case !bucketName.MatchString(o.Bucket):
		return o.invalidField("Bucket", o.Bucket, "1 to 200 letters, digits, '_' and '-'")
	case o.Replicas < 0 || o.Replicas > 5:
		return o.invalidField("Replicas", o.Replicas, "1 to 5, or 0")
	case o.Timeout < 0:
		return o.invalidField("Timeout", o.Timeout, "positive")
	case o.Window < 1 || o.Window > maxWindow:
		return o.invalidField("Window", o.Window, fmt.Sprintf("1 to %d", maxWindow))
	case o.Domain != "" && o.APIPrefix != "":
		return o.invalidField("APIPrefix", o.APIPrefix, fmt.Sprintf("empty beside Domain %q", o.Domain))
	}
	return nil
}

func (o *Options) invalidField(field string, value any, bound string) error {
	return fmt.Errorf("%w: %s is %v: must be %s", ErrInvalidOptions, field, value, bound)
}

// apiPrefix is the prefix of the JetStream API, with its dot.
func (o *Options) apiPrefix() string {
	switch {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}
