package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/replay"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

func exportCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write a topic's events to standard output, one per line",
		ArgsUsage: "TOPIC",
		Description: `Each line is a CloudEvent in JSON, with the event's headers and its place in the stream (streamsequence, streamtime). No group
notices it, and "worker import" stores the lines again. TOPIC may be a pattern, such as 'order.>', that lies in one stream.
A topic is exported with its partitions. Their lines have the partition as their topic, such as order.placed.of8.3.

It ends at the end of the stream as it was when it began. When it ends, or is interrupted, it says after which position to go on:
with --after there is no gap and no repeat. What the stream dropped before it was read is reported, and makes it fail.

Examples:
   worker export order.placed > orders.ndjson
   worker export --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z 'order.>' | gzip > january.ndjson.gz
   worker export --after 'orders@1769817600000000000:4711:1769904000000000000' order.placed >> orders.ndjson
   worker export --key ada --header Tenant=a 'order.>'

Exit status: 0 when every event was written, 1 when not, 2 wrong usage.`,
		Flags: slices.Concat(rangeFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "follow", HideDefault: true, Usage: "do not end: write what is stored later as well"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, HideDefault: true, Usage: "print errors only"},
		}, eventFlags(), config.Flags(natsSections...)),
		DisableSliceFlagSeparator: true, // ids and headers may have commas
		OnUsageError:              commandline.UsageError,
		Action:                    func(ctx context.Context, cmd *cli.Command) error { return exportEvents(ctx, cmd, stdout, stderr) },
	}
}

func exportEvents(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	if n := cmd.Args().Len(); n != 1 {
		return commandline.Usagef(cmd, "%d arguments: name a topic", n)
	}
	topic := cmd.Args().First()
	if err := bus.ValidPattern(topic); err != nil {
		return commandline.Usagef(cmd, "%w", err)
	}
	r, err := readRange(cmd, time.Now())
	if err != nil {
		return commandline.Usagef(cmd, "%w", err)
	}
	filter, err := eventFilter(cmd)
	if err != nil {
		return err
	}
	c, err := config.FromFlags(cmd, natsSections...)
	if err != nil {
		return err
	}
	if cmd.Bool("quiet") {
		c.Log.Level = "error"
	}
	log := newLogger(c, stderr)
	ctx, _, release := worker.Signals(ctx, log)
	defer release()
	return withConnections(ctx, connectOptions(cmd, c, log), func(c *worker.Connections) error {
		reader, ok := c.Bus().(bus.Reader)
		if !ok {
			return fmt.Errorf("the bus at %s cannot be read again: %w", c.BusName(), errors.ErrUnsupported)
		}
		end := endOf(ctx, c.Bus(), topic, &r)
		show := newTransferProgress(stderr, cmd.Bool("quiet"), "exported")
		n, err := replay.Export(ctx, reader, topic, r, stdout, &replay.ExportOptions{
			Filter: filter, Failed: func(_ bus.Position, err error) { show.reportFailed(err) },
			Progress: func(n replay.Exported) { show.show(n.Events, n.Last.Sequence, end()) },
		})
		show.finish()
		interrupted := errors.Is(err, worker.ErrSignal)
		if !cmd.Bool("quiet") || interrupted {
			reportExported(stderr, n)
		}
		if r.Until.Follow && interrupted {
			return nil // Nothing else ends it.
		}
		return err
	})
}

// endOf returns what the sequence of a topic's last event is, at the first call; 0 if that is not
// known, or the range follows the stream. An event was read by then: to ask before might make the
// stream.
func endOf(ctx context.Context, b bus.Bus, topic string, r *bus.Range) func() uint64 {
	return sync.OnceValue(func() uint64 {
		if r.Until.Follow {
			return 0
		}
		info, _ := b.Topic(ctx, topic, "", bus.Start{}) // it is only to look at
		return info.Last.Sequence
	})
}

// readRange is what the flags ask for.
func readRange(cmd *cli.Command, now time.Time) (r bus.Range, err error) {
	for name, at := range map[string]*time.Time{"from": &r.From.Time, "to": &r.Until.Time} {
		moment, err := parseMoment(cmd.String(name))
		if err != nil {
			return r, fmt.Errorf("--%s: %w", name, err)
		}
		if *at = moment.Time; moment.Ago > 0 {
			*at = now.Add(-moment.Ago)
		}
	}
	if r.From.After, err = bus.ParsePosition(cmd.String("after")); err != nil {
		return r, fmt.Errorf("--after: %w", err)
	}
	r.Partitions = true
	r.From.AfterID, r.Until.Follow = cmd.String("after-id"), cmd.Bool("follow")
	if r.Validate() == nil {
		return r, nil
	}
	if r.Until.Follow && !r.Until.Time.IsZero() {
		return r, errors.New("set one at most of --to and --follow")
	}
	if !r.From.Time.IsZero() && !r.Until.Time.IsZero() && r.Until.Time.Before(r.From.Time) {
		return r, fmt.Errorf("--from %s is after --to %s", cmd.String("from"), cmd.String("to"))
	}
	return r, errors.New("set one at most of --from, --after and --after-id")
}

// reportExported says how much was written, and where to go on.
func reportExported(stderr io.Writer, n replay.Exported) {
	_, _ = fmt.Fprintf(stderr, "exported %d %s", n.Events, pluralNoun(n.Events, "event")) // nobody else to tell
	if n.Last.Sequence > 0 {
		_, _ = fmt.Fprintf(stderr, "; go on with --after '%s'", n.Last)
	}
	_, _ = fmt.Fprintln(stderr)
}
