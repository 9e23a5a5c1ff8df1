package nats

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// DefaultBucket and DefaultTimeout are what Options mean by zero.
const (
	DefaultBucket  = "onceish-schemas"
	DefaultTimeout = 5 * time.Second
)

// Options of New. The zero value means the defaults.
type Options struct {
	// Bucket is the bucket. Empty: DefaultBucket.
	Bucket string
	// Replicas of a bucket that is made, 1 to 5. Zero: 1. An existing bucket keeps its own.
	Replicas int
	// BindOnly: the bucket must exist, and is not made.
	BindOnly bool
	// Domain is the JetStream domain to work in. At most one of Domain and APIPrefix is set.
	Domain string
	// APIPrefix is the prefix of the JetStream API, with or without the dot at its end, where it is
	// imported from another account. Empty: "$JS.API".
	APIPrefix string
	// Timeout bounds each call. Zero: DefaultTimeout.
	Timeout time.Duration
	// Logger is told of a bucket that is made. Nil: slog.Default().
	Logger *slog.Logger
}

func (o *Options) withDefaults() (Options, error) {
	r := *cmp.Or(o, &Options{})
	r.Bucket = cmp.Or(r.Bucket, DefaultBucket)
	r.Replicas = cmp.Or(r.Replicas, 1)
	r.Timeout = cmp.Or(r.Timeout, DefaultTimeout)
	r.Logger = cmp.Or(r.Logger, slog.Default())
	invalid := func(field string, value any, bound string) (Options, error) {
		return r, fmt.Errorf("%w: %s is %v: must be %s", ErrInvalidOptions, field, value, bound)
	}
	switch {
	case r.Replicas < 1 || r.Replicas > 5:
		return invalid("Replicas", r.Replicas, "1 to 5, or 0")
	case r.Timeout < 0:
		return invalid("Timeout", r.Timeout, "positive")
	case r.Domain != "" && r.APIPrefix != "":
		return invalid("APIPrefix", r.APIPrefix, fmt.Sprintf("empty beside Domain %q", r.Domain))
	}
	return r, nil
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
