package provision

import (
	"context"
	"log/slog"

	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

// Verify logs a warning for each stream and each bucket that is not what the section provision of
// the configuration says, and the command that mends it. Where the worker makes missing streams, it
// makes those of the section. A bucket that is missing is no warning: the worker makes it. Without
// the section nothing is looked at. It takes a request for each, and does not retry.
func Verify(ctx context.Context, conns *worker.Connections, c *config.Config, command string, log *slog.Logger) error {
	if c.Provision == nil {
		return nil
	}
	p, err := newPlanner(conns, c)
	if err != nil || p.bus == nil {
		return err
	}
	buckets, err := p.buckets()
	if err != nil {
		return err
	}
	for _, of := range append(p.streams(), buckets...) {
		item, do := of.examine(ctx)
		switch {
		case item.Done(), item.Kind == KindBucket && item.Action == Create:
		case item.Action == Create && conns.Provisions():
			if err := do(ctx); err != nil {
				log.Warn("a stream of the configuration could not be made: run "+command, "stream", item.Name, "error", err)
			} else {
				log.Info("made a stream", "stream", item.Name)
			}
		default:
			log.Warn("what is there differs from the configuration: run "+command, item.attributes()...)
		}
	}
	return ctx.Err()
}

// attributes are those of a record in the log.
func (i *Item) attributes() []any {
	args := []any{"kind", i.Kind, "name", i.Name}
	for _, f := range i.Fields {
		args = append(args, f.Name, f.Have+" -> "+f.Want)
	}
	if i.Why != "" {
		args = append(args, "reason", i.Why)
	}
	return args
}
