package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// Provision makes a stream for a topic that has none, as Options.Provision says (nil: with
// defaults), and changes nothing where there is one. The topic may be a pattern. Repeated and
// concurrent calls are safe, also from several processes; it does not retry.
func (b *Bus) Provision(ctx context.Context, topic string) error {
	if b.o.BindOnly {
		return fmt.Errorf("jetstream: no stream is made for topic %q, for Options.BindOnly is set", topic)
	}
	if _, err := b.findStream(ctx, topic); !errors.Is(err, bus.ErrNoStream) {
		return err
	}
	config := StreamConfig(topic, b.o.Provision)
	failed := b.createStream(ctx, config)
	if failed == nil {
		b.log.Info("made a stream", "stream", config.Name, "subjects", config.Subjects, "replicas", config.Replicas, "max_age", config.MaxAge)
		return nil
	}
	// Somebody else may have been faster.
	if _, err := b.findStream(ctx, topic); err == nil {
		return nil
	}
	return failed
}

func (b *Bus) createStream(ctx context.Context, config jetstream.StreamConfig) error {
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	_, err := b.js.CreateStream(ctx, config)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return fmt.Errorf("jetstream: stream %q exists and does not take %s: add that with nats stream edit, or choose another Provision.Name: %w",
			config.Name, strings.Join(config.Subjects, ", "), err)
	}
	return b.wrapRequestError(fmt.Sprintf("make stream %q for %s", config.Name, strings.Join(config.Subjects, ", ")), err)
}

// StreamConfig is the configuration of a stream that is made for a topic. Nil: with defaults. That
// of a partition takes its topic, and all that is below it: the other partitions of every layout.
func StreamConfig(topic string, p *Provision) jetstream.StreamConfig {
	p = cmp.Or(p, &Provision{})
	others := p.Subjects
	if part, ok := bus.ParsePartition(topic); ok {
		topic, others = part.Topic, append([]string{part.Topic + ".>"}, others...)
	}
	return jetstream.StreamConfig{
		Name:        cmp.Or(p.Name, StreamName(topic)),
		Subjects:    withoutCovered(topic, others),
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Replicas:    cmp.Or(p.Replicas, 1),
		MaxAge:      p.MaxAge,
		Duplicates:  cmp.Or(p.Duplicates, min(defaultDuplicates, cmp.Or(p.MaxAge, defaultDuplicates))),
		AllowDirect: true,
	}
}

// withoutCovered leaves out subjects that another one covers: the server refuses overlaps
// within a stream.
func withoutCovered(topic string, others []string) []string {
	out := []string{topic}
	for _, s := range others {
		if !slices.ContainsFunc(out, func(t string) bool { return bus.Match(t, s) }) {
			out = append(slices.DeleteFunc(out, func(t string) bool { return bus.Match(s, t) }), s)
		}
	}
	return out
}
