package main

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

func outboxCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "outbox",
		Usage: "look after events that wait in MongoDB to be published",
		Description: `Rows are pending until they are published, then sent, and removed after a while; those that were given up are dead, and stay.
A worker whose file has an outbox publishes them.

Examples:
   worker outbox list --mongo mongodb://localhost:27017/shop
   worker outbox list --status dead -o json | jq -r '.rows[].reason'
   worker outbox retry --topic 'order.>' --from 2h --yes
   worker outbox republish --from 2026-01-31T15:00:00Z --to 2026-01-31T15:30:00Z --yes

Exit status: 0 done, 1 failed, or not asked for after all, 2 wrong usage.`,
		Commands: []*cli.Command{
			listRowsCommand(stdout, stderr), showRowCommand(stdout),
			changeCommand(stdin, stdout, stderr, retryChange()), changeCommand(stdin, stdout, stderr, dropChange()), republishCommand(stdin, stdout, stderr),
			helpCommand(stdout, "outbox"),
		},
		OnUsageError: commandline.UsageError,
		Action:       showHelp,
	}
}

// outboxSections are what looking after an outbox takes of a worker's configuration.
var outboxSections = []config.Section{config.SectionMongo, config.SectionStrict}

// outboxFlags say where the outbox is.
func outboxFlags() []cli.Flag {
	return append([]cli.Flag{collectionFlag()}, append(config.Flags(outboxSections...), outputFlags()...)...)
}

func collectionFlag() cli.Flag {
	return &cli.StringFlag{Name: "collection", Value: worker.OutboxCollection, Usage: "`NAME` of the collection of the outbox, in the database of --mongo"}
}

// withOutbox calls f with the outbox that the flags name.
func withOutbox(ctx context.Context, cmd *cli.Command, f func(name string, a outbox.Admin) error) (err error) {
	c, err := config.FromFlags(cmd, outboxSections...)
	if err != nil {
		return err
	}
	if c.Mongo.URI == "" {
		return commandline.Usagef(cmd, "no MongoDB: set --mongo or MONGODB_URI")
	}
	o := worker.Configured(c)
	o.Name, o.Logger = cmd.FullName(), commandline.Logger(cmd.Root().ErrWriter, "text", "warn")
	box, err := worker.OpenOutbox(ctx, o, cmd.String("collection"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	return f(box.Name(), box)
}

// noArguments refuses arguments. The hint says what the command takes instead.
func noArguments(cmd *cli.Command, hint string) error {
	if cmd.Args().Present() {
		return commandline.Usagef(cmd, "unexpected argument %q: %s", cmd.Args().First(), hint)
	}
	return nil
}

func republishCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	flags := slices.Concat([]cli.Flag{topicFlag()}, periodFlags("sent"), []cli.Flag{yesFlag("")}, outboxFlags())
	return &cli.Command{
		Name:  "republish",
		Usage: "publish again what was sent in some time, in case the bus has lost it",
		Description: `It takes sent rows that were marked as sent at or after --from and before --to, while they are kept, and makes them pending. They go out
under their old ids, in the order of their keys, and are stored again whether the bus still has them or not: it may know the ids of what it
has lost. What consumers have handled they recognise. How long ago is reckoned by the server's clock.

Example:
   worker outbox republish --topic 'order.>' --from 30m --yes`,
		Flags:        flags,
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd, "name rows by --id"); err != nil {
				return err
			}
			f, err := filterOf(cmd)
			if err != nil {
				return err
			}
			if f.From.IsZero() {
				return commandline.Usagef(cmd, "--from is missing: since when may events be lost? A time, or how long ago, such as 30m")
			}
			c := &confirmedChange{
				cmd: cmd, stdin: stdin, stdout: stdout, stderr: stderr, verb: "republish", done: "republished",
				do: func(ctx context.Context, a outbox.Admin) (int, error) { return a.Republish(ctx, f.Topic, f.From, f.To) },
			}
			what := "what was sent since " + formatMoment(f.From)
			if !f.To.IsZero() {
				what = "what was sent from " + formatMoment(f.From) + " to " + formatMoment(f.To)
			}
			return c.runConfirmed(ctx, what)
		},
	}
}
