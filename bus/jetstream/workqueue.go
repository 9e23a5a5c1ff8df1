package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// explainConflict says who has the events of a work queue that a consumer was to get, if that is
// why it was refused.
func (b *Bus) explainConflict(ctx context.Context, stream string, filters []string, err error) error {
	refused, ok := errors.AsType[*jetstream.APIError](err)
	if !ok || refused.ErrorCode != codeNotUnique && refused.ErrorCode != codeNotAll {
		return err
	}
	return fmt.Errorf("%w: the stream is a work queue, where each event goes to one group alone, and %s: use that group's name, remove it (worker groups remove), "+
		"choose topics that do not overlap, or make the stream with another retention: interest, or limits", err, b.queueHolders(ctx, stream, filters))
}

// queueHolders names the consumers that have a work queue's events under filters, as far as the
// user may know.
func (b *Bus) queueHolders(ctx context.Context, stream string, filters []string) string {
	consumers, _ := b.consumersOf(ctx, stream)
	var found []string
	for _, info := range consumers {
		if !slices.ContainsFunc(filtersOf(&info.Config), func(f string) bool { return f == "" || overlapsAny(filters, f) }) {
			continue
		}
		name := fmt.Sprintf("consumer %q", info.Name)
		if g, ok := groupOf(info); ok {
			name = fmt.Sprintf("group %q on topic %q", g.Name, g.Topic)
		}
		found = append(found, name)
	}
	if len(found) == 0 {
		return "another consumer has those that match"
	}
	return strings.Join(found, " and ") + " has those that match"
}
