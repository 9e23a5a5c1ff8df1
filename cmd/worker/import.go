package main

import (
	"context"
	"errors"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/internal/ndjson"
	"github.com/onceish/onceish/replay"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

func importCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "store again what was exported, from a file or standard input",
		ArgsUsage: "FILE|-",
		Description: `Each line is an event as "worker export" writes it. It is stored under the topic that it names, with its id, source, key, type, time,
content type, data and headers; its place in the stream is a new one. A group that has handled an event recognises it by its mark, and
does not run it again. An import that is repeated stores each event once for as long as the stream remembers message ids.
An event of a partition is stored in it again, or with --partitions in the one of its key.
Lines of one key keep their order; without --ordered others may change theirs when the server fails.
A line that cannot be stored, for example because it was cut in the middle, is reported with its number, and the others go on.

Examples:
   worker import orders.ndjson
   worker import --partitions 8 orders.ndjson
   gunzip -c january.ndjson.gz | worker import -

Exit status: 0 when every line was stored, 1 when not, 2 wrong usage.`,
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "ordered", HideDefault: true, Usage: "store one line after the other: slower, and in the order of the file though the server fails"},
			&cli.IntFlag{Name: "partitions", HideDefault: true, Usage: "store each event in one of `N` partitions of its topic, by the key or, without one, the id: as many as readers have in order: partitions:N", Validator: validPartitions},
		}, append(outputFlags(), config.Flags(natsSections...)...)...),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return importLines(ctx, cmd, stdout, stderr) },
	}
}

func importLines(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	if n := cmd.Args().Len(); n != 1 {
		return commandline.Usagef(cmd, "%d arguments: name a file, or - for standard input", n)
	}
	c, err := config.FromFlags(cmd, natsSections...)
	if err != nil {
		return err
	}
	in, closing, err := openInput(cmd, cmd.Args().First())
	if err != nil {
		return err
	}
	defer closing()
	if cmd.Bool("quiet") {
		c.Log.Level = "error"
	}
	log := newLogger(c, stderr)
	ctx, forceStop, release := worker.Signals(ctx, log)
	defer release()
	return withConnections(ctx, connectOptions(cmd, c, log), func(c *worker.Connections) error {
		show := newTransferProgress(stderr, cmd.Bool("quiet"), "imported")
		at, end := fileEnd(in)
		n, err := replay.Import(ctx, c.Bus(), in, &replay.ImportOptions{
			Ordered: cmd.Bool("ordered"), Partitions: cmd.Int("partitions"), ForceStop: forceStop, Refused: show.reportRefused,
			Prepare: func(ctx context.Context, topic string) error {
				_, err := c.Bus().Topic(ctx, topic, "", bus.Start{}) // makes a missing stream, with --provision
				return err
			},
			Progress: func(n replay.Imported) { show.show(n.Stored, at(), end) },
		})
		show.reportDone(ndjson.Published(n), "imported", "")
		if wantsJSON(cmd) {
			err = errors.Join(err, printJSON(stdout, n))
		}
		return err
	})
}
