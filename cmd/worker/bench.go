package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/cmd/worker/internal/bench"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/internal/commandline"
)

// benchProcess is how this program starts itself as a worker process of a bench.
const benchProcess = "__bench"

func benchCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure throughput and latency on your servers",
		Description: `Publishes events to a stream with a fresh name and measures each stage of their way: publish (until the bus confirms), consume (fetch and
ack, without a store), exactly-once (claim, run, mark, ack, with a handler that does nothing) and outbox (add, drain, publish). Worker
processes of this program consume. What was made is removed in the end.

With --rate, event i is due at i/rate whatever became of those before it, and latencies count from then: a stall is in the figures. A row
that completes less than 98 % of the rate is saturated, and has no latencies since an event was due. Without --rate, a backlog is
published first, and it is measured how fast it is handled.

docs/measuring.md explains every column.

With --baseline, each stage is also measured as a loop over the plain clients (nats.go's PublishMsgAsync, Consume and Ack; insertMany),
in turns on the same stream.

Without --nats it runs a NATS server of its own in a temporary directory, which syncs every write: that is slower than most servers.

Examples:
   worker bench --baseline --nats nats://localhost:4222
   worker bench --stage exactly-once --rate 500 --store mongo --mongo mongodb://localhost:27017 --nats nats://localhost:4222
   worker bench --stage publish --events 100000 --runs 5 -o json --nats nats://localhost:4222
   worker bench --bus memory

Exit status: 0 measured, 1 failed, or an event was lost or handled twice, 2 wrong usage.`,
		Flags:        append(benchFlags(), outputFlags()...),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return runBench(ctx, cmd, stdout, stderr) },
	}
}

func benchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "nats", Usage: "`URL` of a NATS server; without one, a server of its own. NATS_URL is not looked at", HideDefault: true},
		&cli.StringFlag{Name: "mongo", Usage: "`URI` of a MongoDB for --store mongo; MONGODB_URI", HideDefault: true},
		&cli.StringFlag{Name: "bus", Value: bench.BusNATS, Usage: "where events are: nats, or memory (of this process)", Validator: commandline.OneOf(bench.BusMemory, bench.BusNATS)},
		&cli.StringFlag{
			Name: "store", Usage: "where marks are kept: kv (in NATS; the default), mongo or memory", HideDefault: true,
			Validator: commandline.OneOf(testbed.StoreKV, testbed.StoreMongo, testbed.StoreMemory),
		},
		&cli.StringFlag{Name: "stage", Value: bench.StageAll, Usage: "publish, consume, exactly-once, outbox or all", Validator: commandline.OneOf(bench.Stages()...)},
		&cli.IntFlag{Name: "events", Value: bench.DefaultEvents, Usage: "how many events are measured, after a warm-up", Validator: commandline.Positive},
		&cli.IntFlag{Name: "size", Value: bench.DefaultSize, Usage: "`BYTES` of data of each event", Validator: commandline.Positive},
		&cli.FloatFlag{Name: "rate", HideDefault: true, Usage: "events per second that are due; 0: as fast as it goes (default)"},
		&cli.IntFlag{Name: "keys", HideDefault: true, Usage: "how many order keys take turns; 0: none (default)"},
		&cli.FloatFlag{Name: "duplicates", HideDefault: true, Usage: "`SHARE` of the events that are published twice, such as 0.1"},
		&cli.IntFlag{Name: "processes", Value: 1, Usage: "worker processes that consume; 1 with --store memory", Validator: commandline.Positive},
		&cli.IntFlag{Name: "concurrency", Value: bench.DefaultConcurrency, Usage: "handlers that run at once in a process", Validator: commandline.Positive},
		&cli.BoolFlag{Name: "baseline", HideDefault: true, Usage: "measure a loop over the plain clients as well"},
		&cli.IntFlag{Name: "runs", Value: 1, Usage: "how often each measurement is made: median and range are printed", Validator: commandline.Positive},
		&cli.StringFlag{Name: "report", HideDefault: true, Usage: "write a page with plots to `FILE`, which a browser shows without a network"},
		&cli.Uint64Flag{Name: "seed", HideDefault: true, Usage: "`NUMBER` that decides which events are published twice (default: a random one, which is printed)"},
	}
}

func runBench(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	o, err := benchOptions(cmd, stderr)
	if err != nil {
		return commandline.Usagef(cmd, "%w", err)
	}
	if err := checkReport(cmd); err != nil {
		return err
	}
	ctx, release := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer release()
	context.AfterFunc(ctx, release) // the second one ends this process
	r, err := bench.Run(ctx, o)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	if len(r.Rows) == 0 {
		return err
	}
	if file := cmd.String("report"); file != "" {
		err = errors.Join(err, r.Page().WriteFile(file))
	}
	if wantsJSON(cmd) {
		return errors.Join(printJSON(stdout, r), err)
	}
	return errors.Join(r.WriteTable(stdout), err)
}

func benchOptions(cmd *cli.Command, stderr io.Writer) (*bench.Options, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o := &bench.Options{
		NATS: cmd.String("nats"), Mongo: cmd.String("mongo"), Bus: cmd.String("bus"), Store: cmd.String("store"), Stage: cmd.String("stage"),
		Events: cmd.Int("events"), Size: cmd.Int("size"), Rate: cmd.Float("rate"), Keys: cmd.Int("keys"), Duplicates: cmd.Float("duplicates"),
		Processes: cmd.Int("processes"), Concurrency: cmd.Int("concurrency"), Baseline: cmd.Bool("baseline"), Runs: cmd.Int("runs"),
		Seed: cmd.Uint64("seed"), Command: []string{self, benchProcess}, Server: []string{self, serverProcess}, Output: stderr, Live: isTerminal(stderr),
		Usage: cmd.String("report") != "",
	}
	if cmd.Bool("quiet") {
		o.Output = nil
	}
	if !cmd.IsSet("seed") {
		o.Seed = uint64(rand.Uint32()) //nolint:gosec // not secret, and short enough to be typed
	}
	switch {
	case cmd.Args().Present():
		return nil, fmt.Errorf("unexpected argument %q: bench takes no arguments", cmd.Args().First())
	case o.Mongo != "" && o.Store != testbed.StoreMongo:
		return nil, errors.New("--mongo is for --store mongo")
	case o.Mongo == "" && o.Store == testbed.StoreMongo:
		if o.Mongo = os.Getenv("MONGODB_URI"); o.Mongo == "" {
			return nil, errors.New("--store mongo needs a MongoDB: set --mongo or MONGODB_URI")
		}
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return o, nil
}
