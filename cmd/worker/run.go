package main

import (
	"context"
	"fmt"
	"io"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/internal/plaintext"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/provision"
	"github.com/onceish/onceish/worker/telemetry/export"
)

func runCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "handle each event of a topic once: by a command, or as a file says",
		Description: `With --topic, --group and --exec it runs a command for each event; with -c a file says what is done, also over HTTP and by
publishing. A flag overrides the environment, which overrides the file.

The command is run by /bin/sh, one process per event, with the event's data as standard input and CE_ID, CE_SOURCE, CE_TYPE,
CE_TIME, TOPIC, GROUP, EVENT_KEY, IDEMPOTENCY_KEY, ATTEMPT, TOKEN, TRACEPARENT and TRACESTATE in its environment. It inherits the
rest, but for NATS_URL, NATS_CREDS, NATS_NKEY, NATS_KEY, MONGODB_URI, ONCEISH_ADMIN_TOKEN, OTEL_EXPORTER_OTLP_HEADERS and what a service
manager set. What it writes goes to the worker's standard output and error.

It answers by its exit status: 0 done; 65 never try again, the event is dead-lettered; 69 and 75 try again without counting an
attempt, for what it calls is away or too busy; anything else try again later. The end of what it wrote to standard error is the reason. It and its children are killed when it takes too long, when another worker has
taken over, and when the worker dies. If the worker dies before it could note the success, the command is
run again, with the same IDEMPOTENCY_KEY.

With OTEL_EXPORTER_OTLP_ENDPOINT it sends metrics and traces by OTLP over HTTP: see docs/observability.md.

Examples:
   worker run --topic order.placed --group billing --exec ./charge
   worker run -c worker.yaml
   worker run --topic 'order.>' --group audit --exec 'cat >> audit.ndjson' --concurrency 1 --until-empty

SIGTERM and SIGINT let what runs finish; a second one, half a second later or more, does not.
Exit status: 0 drained, 1 failed, 2 wrong usage, 3 drain incomplete; with --until-empty, 4 when events were given up, or wait for streams
that are not there.`,
		Flags:        runFlags(),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return runWorker(ctx, cmd, stdout, stderr) },
	}
}

// runFlags are those of a file's keys, and a few more.
func runFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, TakesFile: true, Usage: "`FILE` that says what to do, or - for standard input; see docs/configuration.md"},
		&cli.BoolFlag{Name: "until-empty", HideDefault: true, Usage: "end when everything on the topics is settled, retries included"},
	}, config.Flags(config.SectionGroup, config.SectionName, config.SectionSubscriptions, config.SectionPartitions, config.SectionDrain, config.SectionAdmin, config.SectionMetrics, config.SectionMongo, config.SectionNATS,
		config.SectionDataDir, config.SectionLog, config.SectionStrict)...)
}

func runWorker(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	if cmd.Args().Present() {
		return commandline.Usagef(cmd, "unexpected argument %q: quote the command of --exec", cmd.Args().First())
	}
	c, warnings, err := config.Load(cmd, cmd.String("config"))
	if err != nil {
		if cmd.String("config") == "" {
			err = fmt.Errorf("%w: see %s --help, or name a file with -c", err, cmd.FullName())
		}
		return err
	}
	log := newLogger(c, stderr)
	for _, w := range warnings {
		log.Warn(w.String())
	}
	export.LogErrors(log)
	traces, err := openTraces(ctx, c, log)
	if err != nil {
		return err
	}
	defer traces.close()
	limitMemory(log, memlimit.FromCgroup)
	return worker.Serve(ctx, c.Group, connectOptions(cmd, c, log), &worker.Options{
		Name: c.Name, Drain: c.Drain, UntilEmpty: cmd.Bool("until-empty"), Logger: log,
	}, func(ctx context.Context, w *worker.Worker) error {
		if err := provision.Verify(ctx, w.Connections(), c, fmt.Sprintf("worker provision -c %s --dry-run", cmd.String("config")), log); err != nil {
			return err
		}
		metrics, err := addMetrics(ctx, w, c) // first, so that what is left is sent last
		if err != nil {
			return err
		}
		if err := addAdmin(ctx, w, c, metrics); err != nil { // before all else, so that it is closed after it
			return err
		}
		traces.addTo(w)
		s := &workerBuilder{
			worker: w, stdout: stdout, stderr: stderr, drain: c.Drain, transport: traces.transport(),
			plaintext: plaintext.Policy{Strict: c.Strict, Logger: log},
		}
		return s.addConfigured(ctx, c)
	})
}
