package jetstream

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// Options of New. The zero value means the defaults.
type Options struct {
	// Logger is told what somebody should look at. Nil: slog.Default().
	Logger *slog.Logger
	// APIPrefix is the prefix of the JetStream API where an account imports it under another one.
	// Empty: "$JS.API".
	APIPrefix string
	// Domain is the JetStream domain to talk to. Empty: the server's own. Excludes APIPrefix.
	Domain string
	// Stream is where to look first for a topic. It saves the permission to list streams, chooses
	// where a pattern matches several, and is the only way to a mirror. A topic that is not in it
	// is looked up. Empty: all topics are.
	Stream string
	// Provision, if not nil, lets Subscribe and Topic make a stream that is missing.
	// Nil: ErrNoStream.
	Provision *Provision
	// BindOnly makes and changes nothing on the server: consumers must be there, made by
	// an administrator.
	BindOnly bool
	// Envelopes reads a message as a CloudEvent in structured mode if its data is a JSON object
	// with specversion, id, source and type, and no header says what it is: so the CloudEvents SDK
	// for Go writes them on NATS. It is off by default, because a plain message whose data looks
	// like this would change its identity with it: decide before a group begins.
	Envelopes bool
	// MaxUnsettled is how many deliveries of a group may be in flight at once. While
	// events wait for the delay of their nak, each process may have that many in flight.
	// Zero: bus.DefaultMaxUnsettled.
	MaxUnsettled int
	// MaxAckPending is up to how many unsettled deliveries max_ack_pending of a group's consumer is
	// raised while events wait for the delay of their nak. Equal to MaxUnsettled, it is never
	// raised. Zero: 10 times MaxUnsettled, which was measured (docs/adr/0025).
	MaxAckPending int
	// PublishWindow is how many events may be on their way to the server at once. Zero: 4,000.
	PublishWindow int
	// PublishTimeout is how long Publish waits while no confirmation arrives. Zero: 5 s.
	PublishTimeout time.Duration
	// APITimeout is how long the server may take to answer a request. Zero: 5 s.
	APITimeout time.Duration
	// CheckInterval is how often a Source that receives nothing asks the server why. Zero: 5 s.
	CheckInterval time.Duration
}

// Provision is how streams are made: on file, with limits retention. The zero value means
// the defaults.
type Provision struct {
	// Name of the stream. Empty: derived from the topic, see StreamName.
	Name string
	// Subjects that the stream takes beside the topic.
	Subjects []string
	// Replicas, 1 to 5. Zero: 1.
	Replicas int
	// MaxAge is how long events are kept. Zero: for ever.
	MaxAge time.Duration
	// Duplicates is how long the server remembers message ids. Zero: 2 min, or MaxAge if
	// that is shorter.
	Duplicates time.Duration
}

const (
	defaultPublishWindow = 4_000
	defaultTimeout       = 5 * time.Second
	defaultCheckInterval = 5 * time.Second
	defaultDuplicates    = 2 * time.Minute
)

// complete returns o with defaults filled in, or what is wrong with it.
func (o *Options) complete() (Options, error) {
	c := *cmp.Or(o, &Options{})
	if err := c.validate(); err != nil {
		return Options{}, err
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.MaxUnsettled = cmp.Or(c.MaxUnsettled, bus.DefaultMaxUnsettled)
	c.MaxAckPending = cmp.Or(c.MaxAckPending, c.MaxUnsettled*defaultAckPendingFactor)
	c.PublishWindow = cmp.Or(c.PublishWindow, defaultPublishWindow)
	c.PublishTimeout = cmp.Or(c.PublishTimeout, defaultTimeout)
	c.APITimeout = cmp.Or(c.APITimeout, defaultTimeout)
	c.CheckInterval = cmp.Or(c.CheckInterval, defaultCheckInterval)
	return c, nil
}

func (o *Options) validate() error {
	switch {
	case o.APIPrefix != "" && o.Domain != "":
		return fmt.Errorf("jetstream: Options.APIPrefix %q and Options.Domain %q exclude each other", o.APIPrefix, o.Domain)
	case o.Stream != "" && !legalName(o.Stream):
		return fmt.Errorf("jetstream: Options.Stream is %q: a stream's name has no spaces, '.', '*', '>', '/' or '\\'", o.Stream)
	case o.BindOnly && o.Provision != nil:
		return fmt.Errorf("jetstream: Options.BindOnly makes nothing: leave Options.Provision nil")
	case o.MaxUnsettled < 0:
		return fmt.Errorf("jetstream: Options.MaxUnsettled is %d: at least 1, or 0 for %d", o.MaxUnsettled, bus.DefaultMaxUnsettled)
	case o.MaxAckPending != 0 && o.MaxAckPending < cmp.Or(o.MaxUnsettled, bus.DefaultMaxUnsettled):
		return fmt.Errorf("jetstream: Options.MaxAckPending is %d: at least MaxUnsettled, %d, or 0 for %d times that",
			o.MaxAckPending, cmp.Or(o.MaxUnsettled, bus.DefaultMaxUnsettled), defaultAckPendingFactor)
	case o.PublishWindow < 0:
		return fmt.Errorf("jetstream: Options.PublishWindow is %d: at least 1, or 0 for %d", o.PublishWindow, defaultPublishWindow)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"PublishTimeout", o.PublishTimeout}, {"APITimeout", o.APITimeout}, {"CheckInterval", o.CheckInterval}} {
		if d.value != 0 && d.value < time.Millisecond {
			return fmt.Errorf("jetstream: Options.%s is %v: at least 1ms, or 0 for 5s", d.name, d.value)
		}
	}
	return o.Provision.validate()
}

// prefixOfAPI returns the prefix of the JetStream API, with its last dot.
func (o *Options) prefixOfAPI() string {
	if o.Domain != "" {
		return "$JS." + o.Domain + ".API."
	}
	return strings.TrimSuffix(cmp.Or(o.APIPrefix, jetstream.DefaultAPIPrefix), ".") + "."
}

func (p *Provision) validate() error {
	switch {
	case p == nil:
		return nil
	case p.Name != "" && !legalName(p.Name):
		return fmt.Errorf("jetstream: Provision.Name is %q: a stream's name has no spaces, '.', '*', '>', '/' or '\\'", p.Name)
	case p.Replicas < 0 || p.Replicas > 5:
		return fmt.Errorf("jetstream: Provision.Replicas is %d: 1 to 5, or 0 for 1", p.Replicas)
	case p.MaxAge != 0 && p.MaxAge < 100*time.Millisecond:
		return fmt.Errorf("jetstream: Provision.MaxAge is %v: at least 100ms, or 0 for ever", p.MaxAge)
	case p.Duplicates != 0 && p.Duplicates < 100*time.Millisecond:
		return fmt.Errorf("jetstream: Provision.Duplicates is %v: at least 100ms, or 0 for %v", p.Duplicates, defaultDuplicates)
	case p.MaxAge != 0 && p.Duplicates > p.MaxAge:
		return fmt.Errorf("jetstream: Provision.Duplicates is %v, longer than Provision.MaxAge %v", p.Duplicates, p.MaxAge)
	}
	for _, s := range p.Subjects {
		if err := bus.ValidPattern(s); err != nil {
			return fmt.Errorf("jetstream: Provision.Subjects: %w", err)
		}
	}
	return nil
}

func legalName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`.*>/\`, r) })
}
