package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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

It ends at the end of the stream as it was when it began. When it ends, or is interrupted, it says after which position to go on:
with --after there is no gap and no repeat. What the stream dropped before it was read is reported, and makes it fail.

Examples:
   worker export order.placed > orders.ndjson
   worker export --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z 'order.>' | gzip > january.ndjson.gz
   worker export --after 'orders@1769817600000000000:4711:1769904000000000000' order.placed >> orders.ndjson

Exit status: 0 when every event was written, 1 when not, 2 wrong usage.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "begin at the first event that was stored at this `TIME`, or so long ago, or later"},
			&cli.StringFlag{Name: "after", Usage: "begin after this `POSITION`, which an earlier export has named"},
			&cli.StringFlag{Name: "after-id", Usage: "begin after the first event with this `ID`, which is looked for from the earliest on"},
			&cli.StringFlag{Name: "to", Usage: "end before the first event that was stored at this `TIME`, or so long ago, or later"},
			&cli.BoolFlag{Name: "follow", HideDefault: true, Usage: "do not end: write what is stored later as well"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, HideDefault: true, Usage: "print errors only"},
		}, config.Flags(natsSections...)...),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return exportEvents(ctx, cmd, stdout, stderr) },
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
	r, err := exportRange(cmd, time.Now())
	if err != nil {
		return commandline.Usagef(cmd, "%w", err)
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
		n, err := replay.Export(ctx, reader, topic, r, stdout, nil)
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

// exportRange is what the flags ask for.
func exportRange(cmd *cli.Command, now time.Time) (r bus.Range, err error) {
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
	r.From.AfterID, r.Until.Follow = cmd.String("after-id"), cmd.Bool("follow")
	if r.Validate() == nil {
		return r, nil
	}
	return r, errors.New("set one at most of --from, --after and --after-id, and of --to and --follow, and no --to before --from")
}

// reportExported says how much was written, and where to go on.
func reportExported(stderr io.Writer, n replay.Exported) {
	_, _ = fmt.Fprintf(stderr, "exported %d %s", n.Events, pluralNoun(n.Events, "event")) // nobody else to tell
	if n.Last.Sequence > 0 {
		_, _ = fmt.Fprintf(stderr, "; go on with --after '%s'", n.Last)
	}
	_, _ = fmt.Fprintln(stderr)
}
