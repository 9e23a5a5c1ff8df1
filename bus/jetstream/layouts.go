package jetstream

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

var _ bus.LayoutFinder = (*Bus)(nil)

// FindLayouts implements bus.LayoutFinder. It reads the stream's information, as Topic does.
func (b *Bus) FindLayouts(ctx context.Context, topic string, in bus.Position) ([]int, error) {
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	doing := fmt.Sprintf("find the partitions of topic %q in stream %q", topic, streamNameOf(in))
	stream, err := b.js.Stream(ctx, streamNameOf(in))
	if err != nil {
		return nil, b.wrapRequestError(doing, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(topic+".*.*."+bus.KeyToken("")))
	if err != nil {
		return nil, b.wrapRequestError(doing, err)
	}
	found := make(map[int]struct{})
	for subject := range info.State.Subjects {
		if p, ok := bus.ParsePartition(subject); ok && p.Topic == topic {
			found[p.Of] = struct{}{}
		}
	}
	if n := mappedLayout(&info.Config, topic); n > 0 {
		found[n] = struct{}{}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// mappedLayout returns in how many partitions of a topic a stream maps what others publish; zero:
// it does not.
func mappedLayout(c *jetstream.StreamConfig, topic string) int {
	if c.SubjectTransform == nil {
		return 0
	}
	rest, ok := strings.CutPrefix(c.SubjectTransform.Destination, topic+".of")
	number, _, more := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	if !ok || !more || err != nil || bus.ValidPartitions(n) != nil {
		return 0
	}
	return n
}
