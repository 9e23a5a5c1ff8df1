package worker

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker/config"
)

// Main is the main function of a worker binary: it reads flags and environment, connects, calls
// setup, runs until SIGTERM or SIGINT, drains, closes and exits: 0 drained, 1 failed, 2 wrong
// usage, 3 drain incomplete, 4 not all events done (--until-empty). --help lists the flags and
// their variables (NATS_URL, MONGODB_URI, …). Flags such as --concurrency, --attempts, --lease and
// --rate go before what setup says: for all topics, or as TOPIC=VALUE for one. It needs a NATS
// server, and keeps marks in MongoDB, or without one in NATS.
//
// It does not return. Execute is the same for tests.
func Main(group string, setup Setup) {
	os.Exit(Execute(context.Background(), group, os.Args, os.Stdout, os.Stderr, setup)) //nolint:revive // it is the main function of its caller
}

// Execute is Main without the end of the process: it returns the exit status. args are as in
// os.Args. While it runs, SIGTERM and SIGINT are caught; the end of ctx does what the first
// of them does.
func Execute(ctx context.Context, group string, args []string, stdout, stderr io.Writer, setup Setup) int {
	name := group
	if len(args) > 0 {
		name = filepath.Base(args[0])
	}
	err := newCommand(name, group, stdout, stderr, setup).Run(ctx, args)
	if err != nil {
		commandline.PrintFailure(stderr, name, err)
	}
	return ExitStatus(err)
}

func newCommand(name, group string, stdout, stderr io.Writer, setup Setup) *cli.Command {
	return &cli.Command{
		Name:      name,
		Usage:     fmt.Sprintf("handle each event once for the group %q", group),
		UsageText: name + " [options]",
		Description: `A flag with TOPIC= before its value is for the subscription to that topic, else for all: --concurrency 8 --concurrency order.placed=64

SIGTERM and SIGINT let what runs finish; a second one, half a second later or more, does not.
Exit status: 0 drained, 1 failed, 2 wrong usage, 3 drain incomplete; with --until-empty, 4 when events were given up.`,
		Version:         commandline.Version(),
		Flags:           mainFlags(),
		Writer:          stdout,
		ErrWriter:       stderr,
		HideHelpCommand: true,

		DisableSliceFlagSeparator: true, // topics may have commas
		OnUsageError:              commandline.UsageError,
		ExitErrHandler:            func(context.Context, *cli.Command, error) {},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return serveFlags(ctx, cmd, group, stderr, setup)
		},
	}
}

// mainSections are what a worker binary takes of a worker's configuration: it says itself
// what it handles.
var mainSections = []config.Section{config.SectionName, config.SectionPartitions, config.SectionNATS, config.SectionMongo, config.SectionDrain, config.SectionLog, config.SectionStrict}

func mainFlags() []cli.Flag {
	return append(append(config.Flags(mainSections...), config.TuningFlags()...), &cli.BoolFlag{
		Name: "until-empty", HideDefault: true, Usage: "end when everything on the topics is settled, retries included",
	})
}

func serveFlags(ctx context.Context, cmd *cli.Command, group string, stderr io.Writer, setup Setup) error {
	if cmd.Args().Present() {
		return commandline.Usagef(cmd, "unexpected argument %q", cmd.Args().First())
	}
	c, err := config.FromFlags(cmd, mainSections...)
	if err != nil {
		return err
	}
	log := commandline.Logger(stderr, c.Log.Format, c.Log.Level)
	tuning, err := config.TuningFromFlags(cmd)
	if err != nil {
		return err
	}
	o := Configured(c)
	o.Name, o.Logger, o.Lease = cmd.FullName(), log, tuning.ShortestLease()
	return Serve(ctx, group, o, &Options{Name: c.Name, Drain: c.Drain, UntilEmpty: cmd.Bool("until-empty"), Logger: log},
		func(ctx context.Context, w *Worker) error {
			if err := setup(ctx, w); err != nil {
				return err
			}
			return w.applyTuning(ctx, tuning)
		})
}

// Configured are the options of Connect that a configuration says: without Embed, Lease,
// Name and Logger.
func Configured(c *config.Config) *ConnectOptions {
	n := &c.NATS
	return &ConnectOptions{
		NATS: n.URL, Credentials: n.Credentials, NKey: n.NKey, TLS: TLSFiles(n.TLS), InboxPrefix: n.InboxPrefix,
		Bus:    &natsbus.Options{Domain: n.Domain, APIPrefix: n.APIPrefix, Stream: n.Stream, Envelopes: n.Envelopes, MaxUnsettled: n.MaxUnsettled},
		Bucket: n.Bucket, Replicas: n.Replicas, Provision: n.Provision, Store: c.Mongo.URI, Namespace: c.Mongo.Namespace,
		Strict: c.Strict, Partitions: c.Partitions,
	}
}

// applyTuning has flags go before what the program says of its subscriptions.
func (w *Worker) applyTuning(ctx context.Context, t *config.Tuning) error {
	topics := make([]string, len(w.handlers))
	var problems config.Problems
	for i := range w.handlers {
		h := &w.handlers[i]
		topics[i] = h.topic
		o, err := t.Apply(h.topic, h.options)
		if err != nil {
			return err
		}
		problems = append(problems, t.Refuse(w.group, h.topic, h.options, o)...)
		if levers := t.Flow(h.topic); levers != nil {
			if err := w.applyLevers(ctx, levers, h.topic, o); err != nil {
				return err
			}
		}
		h.options = o
	}
	if len(problems) > 0 {
		return problems
	}
	return t.Check(topics)
}
