package chaos

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/worker/config"
)

// Deployment are the user's own workers, as a file says what they do, and what is published to
// them.
type Deployment struct {
	// File is the name of their file, Text what it says. Workers read the text and the environment.
	File string
	Text []byte
	// Topics are what events are published to; each is that of a subscription, or matches its
	// pattern. Empty: those of all subscriptions that no handler of the file publishes to.
	Topics []string
	// Journal is the absolute path of a file to which commands and endpoints append a line for each
	// effect, which begins with the event's id. It is made if it is not there; lines that it has
	// already are not looked at. Empty: a run that succeeds is taken for an effect.
	Journal string
	// Data are templates of the events' data, which are used in turn. Empty: DefaultData.
	Data []string
	// DataFlag is what people wrote for Data, for the line that replays a run.
	DataFlag string
}

// deployed is what a Deployment says, defaults included.
type deployed struct {
	*Deployment

	config   *config.Config
	targets  []target
	sources  []*config.Subscription // of the targets
	payloads []payload
	warnings []string
}

// JournalVariable is the environment variable that names Deployment.Journal to commands.
const JournalVariable = "ONCEISH_CHAOS_JOURNAL"

// readDeployment takes from the file what the options leave to it.
func (o *Options) readDeployment() error {
	if o.Deployment == nil {
		return nil
	}
	c, problems := config.Parse(o.Deployment.File, o.Deployment.Text, os.LookupEnv)
	mistakes, warnings := problems.SplitWarnings()
	if len(mistakes) > 0 {
		return mistakes
	}
	d := &deployed{Deployment: o.Deployment, config: c}
	for _, w := range warnings {
		d.warnings = append(d.warnings, w.String())
	}
	if err := d.findTargets(); err != nil {
		return err
	}
	if err := d.readPayloads(); err != nil {
		return err
	}
	if o.Mongo == "" {
		o.Mongo = c.Mongo.URI
	}
	o.Store = testbed.StoreKV
	if o.Mongo != "" {
		o.Store = testbed.StoreMongo
	}
	o.deployed, o.Lease = d, config.ShortestLease(c.Subscriptions)
	o.patience = max(o.patience, 3*o.Lease+d.longestWait())
	if longest := d.longestWait(); longest > o.Duration/2 {
		d.warnings = append(d.warnings, fmt.Sprintf("an event may wait %v for its next run (ack_wait, lease, backoff.max in %s), so it may take long to settle: set them to a few seconds, in a copy of it",
			longest, o.Deployment.File))
	}
	if o.Duration < wantedLeases*o.Lease {
		d.warnings = append(d.warnings, fmt.Sprintf("the lease is %v, so few faults fit into %v%s", o.Lease, o.Duration, o.leaseHint()))
	}
	return nil
}

// wantedLeases of a duration leave room for some faults of each kind.
const wantedLeases = 10

// leaseHint says how to change the lease; empty: it is an option.
func (o *Options) leaseHint() string {
	if o.deployed == nil {
		return ""
	}
	return fmt.Sprintf("; the lease is the shortest one in %s: set lease and ack_wait of its subscriptions to a few seconds, in a copy of it, or name a longer --duration", o.Deployment.File)
}

// findTargets finds the subscriptions of the topics.
func (d *deployed) findTargets() error {
	if len(d.config.Subscriptions) == 0 {
		return fmt.Errorf("%s has no subscription: there is nothing to publish to", d.File)
	}
	topics := d.Topics
	if len(topics) == 0 {
		var err error
		if topics, err = d.concreteTopics(); err != nil {
			return err
		}
	}
	for _, topic := range topics {
		if err := bus.ValidTopic(topic); err != nil {
			return fmt.Errorf("--topic: %w", err)
		}
		s := d.subscriptionTo(topic)
		if s == nil {
			return fmt.Errorf("no subscription in %s takes the topic %q: name one of %s", d.File, topic, strings.Join(d.patterns(), ", "))
		}
		d.sources = append(d.sources, s)
		d.targets = append(d.targets, target{topic: topic, consumer: natsbus.ConsumerName(d.config.Group, s.Topic), deadLetter: s.DeadLetter})
	}
	return nil
}

// concreteTopics are those of all subscriptions, but for topics that a handler publishes to.
func (d *deployed) concreteTopics() (topics []string, err error) {
	for i := range d.config.Subscriptions {
		topic := d.config.Subscriptions[i].Topic
		switch {
		case d.isFed(topic):
		case bus.ValidTopic(topic) != nil:
			return nil, fmt.Errorf("%s subscribes to the pattern %q: say with --topic what to publish to, once for each topic", d.File, topic)
		default:
			topics = append(topics, topic)
		}
	}
	if len(topics) == 0 {
		return nil, fmt.Errorf("a handler in %s publishes to each of its topics: say with --topic what to publish to", d.File)
	}
	return topics, nil
}

// isFed reports whether a handler of the file publishes to a topic.
func (d *deployed) isFed(topic string) bool {
	return slices.ContainsFunc(d.config.Subscriptions, func(s config.Subscription) bool {
		return s.Handler.Publish != nil && bus.Overlap(topic, s.Handler.Publish.Topic)
	})
}

func (d *deployed) subscriptionTo(topic string) *config.Subscription {
	for i := range d.config.Subscriptions {
		if bus.Match(d.config.Subscriptions[i].Topic, topic) {
			return &d.config.Subscriptions[i]
		}
	}
	return nil
}

func (d *deployed) patterns() (names []string) {
	for i := range d.config.Subscriptions {
		names = append(names, d.config.Subscriptions[i].Topic)
	}
	return names
}

// longestWait is how long an event may wait for its next run while nothing else happens.
func (d *deployed) longestWait() (longest time.Duration) {
	for _, s := range d.sources {
		longest = max(longest, s.Backoff.Max, s.AckWait+s.Lease)
	}
	return longest
}

// exposure is how many events a process may have started and not marked.
func (d *deployed) exposure() (n int) {
	for _, s := range d.sources {
		n += s.MaxUnmarked
	}
	return n
}

// hasLines reports whether the effects of a subscription are lines of the journal.
func (d *deployed) hasLines(s *config.Subscription) bool {
	return d.Journal != "" && (s.Handler.Exec != nil || s.Handler.HTTP != nil)
}

// drainPatience is how long a process may take to drain.
func (o *Options) drainPatience() time.Duration {
	patience := 4*o.Lease + 15*time.Second
	if o.deployed != nil {
		patience += o.deployed.config.Drain
	}
	return patience
}

// checkStreams refuses faults that take events away by themselves.
func (o *Options) checkStreams() error {
	if o.deployed == nil || o.deployed.config.Provision == nil {
		return nil
	}
	p := o.deployed.config.Provision
	var errs []error
	refuse := func(kind, format string, args ...any) {
		if slices.Contains(o.Faults, kind) {
			left := slices.DeleteFunc(slices.Clone(o.Faults), func(k string) bool { return k == kind })
			errs = append(errs, fmt.Errorf(format+": leave the fault %s out, as in --faults %s", append(args, kind, strings.Join(left, ","))...))
		}
	}
	for i := range p.Streams {
		s := &p.Streams[i]
		if s.Storage == config.StorageMemory {
			refuse(KindRestart, "the stream %s is kept in memory (provision.streams), and is gone when NATS is killed", s.Name)
		}
		if s.Retention == config.RetentionInterest {
			refuse(KindConsumer, "the stream %s keeps events for its consumers alone (provision.streams), and none while the group's is gone", s.Name)
		}
	}
	if p.Buckets.Marks.Storage == config.StorageMemory && o.Store == testbed.StoreKV {
		refuse(KindRestart, "the bucket of marks is kept in memory (provision.buckets), and is gone when NATS is killed")
	}
	return errors.Join(errs...)
}

// checkIdentity refuses data in which the file's key id does not find the event's id.
func (d *deployed) checkIdentity(s *config.Subscription, e bus.Event) error {
	o, err := s.Options()
	if err != nil || o.ID == nil {
		return err
	}
	if got := o.ID(e); got != e.ID {
		return fmt.Errorf("%s takes the id of an event on %q from its data (id: %s), where the data has %q: name data with the id there, as in --data '%s'",
			d.File, s.Topic, s.ID, got, dataWithID(s.ID))
	}
	return nil
}

// dataWithID is a template with the event's id at a path, "order.id".
func dataWithID(path string) string {
	data := `"{{.ID}}"`
	names := strings.Split(path, ".")
	for _, name := range slices.Backward(names) {
		data = fmt.Sprintf("{%q: %s}", name, data)
	}
	return data
}
