package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/cmd/worker/internal/chaos"
	"github.com/onceish/onceish/cmd/worker/internal/report"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/commandline"
)

// chaosProcess is how this program starts itself as a worker process of chaos.
const chaosProcess = "__chaos"

const chaosDescription = `Publishes events at a steady rate to a few worker processes, each of which reaches its servers through proxies of its own.
Meanwhile faults happen:

   kill      a process ends by SIGKILL, and is replaced
   freeze    a process stands still (SIGSTOP), for less than a lease or for longer
   drain     a process ends in order, and is replaced
   join      a process more works for a while, and drains; with --order exclusive or partitions:N
   nats      connections to NATS are cut, reset, refused, delayed, or silent in one direction or both
   mongo     the same for MongoDB; with --store mongo
   consumer  the group's consumer is deleted on the server
   restart   NATS is killed by SIGKILL, and started again; without --nats

In the end all faults are healed, and everything must settle. The effects are counted in a journal that neither NATS nor
MongoDB knows of. docs/measuring.md explains every line of the output.

Examples:
   worker chaos --duration 30s
   worker chaos --store mongo --mongo mongodb://localhost:27017 --faults kill,freeze,mongo
   worker chaos --order partitions:16 --duration 5m
   worker chaos --seed 17 -o json | jq .kinds
   worker chaos -c worker.yaml --journal effects.txt --duration 1m

With -c the workers are yours: they do what the file says, as worker run would, in its group, with its leases and limits. Servers that
the file names are left alone, but for the MongoDB, where collections with fresh names are made: events go through a NATS server of
chaos's own, or the one of --nats, which must not have the file's topics yet. Handlers append a line for each effect to --journal, which
commands find in $ONCEISH_CHAOS_JOURNAL: exec: './charge && echo "$CE_ID" >> "$ONCEISH_CHAOS_JOURNAL"'.

A kind of fault that never met an event in flight proves nothing. The verdict calls it inconclusive, and the exit status stays 0.

Exit status: 0 no promise was broken, 1 one was broken, or the run failed, 2 wrong usage.`

func chaosCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:        "chaos",
		Usage:       "inject faults into workers and their servers, and judge what became of the events",
		Description: chaosDescription,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{
				Name: "store", Value: testbed.StoreKV, Usage: "where marks are kept: kv (in NATS) or mongo",
				Validator: commandline.OneOf(testbed.StoreKV, testbed.StoreMongo),
			},
			&cli.DurationFlag{Name: "duration", Value: chaos.DefaultDuration, Usage: "how long events are published and faults happen"},
			&cli.Uint64Flag{Name: "seed", HideDefault: true, Usage: "`NUMBER` that decides events and faults (default: a random one, which is printed)"},
			&cli.StringFlag{Name: "faults", Value: "all", Usage: "`KINDS` of faults, separated by commas, or all that are possible"},
			&cli.IntFlag{Name: "processes", Value: chaos.DefaultProcesses, Usage: "worker processes that consume", Validator: commandline.Positive},
			&cli.IntFlag{Name: "rate", Value: chaos.DefaultRate, Usage: "events that are published per second; 20 with -c, unless it is set", Validator: commandline.Positive},
			&cli.StringFlag{Name: "order", Value: consumer.ByKey.String(), Usage: "`ORDER` of the workers: key, exclusive or partitions:N, whose order over all processes is judged"},
			&cli.IntFlag{Name: "keys", Value: chaos.DefaultKeys, Usage: "how many order keys take turns", Validator: commandline.Positive},
			&cli.FloatFlag{Name: "duplicates", Value: 0.1, Usage: "`SHARE` of the events that are published twice"},
			&cli.DurationFlag{Name: "lease", Value: chaos.DefaultLease, Usage: "lease of claims and deliveries: faults last for parts and multiples of it"},
			&cli.BoolFlag{Name: "until-violation", HideDefault: true, Usage: "go on with other seeds until a promise is broken, or until it is interrupted"},
			&cli.StringFlag{Name: "report", Usage: "write a page with plots to `FILE`, which a browser shows without a network", HideDefault: true},
			&cli.StringFlag{Name: "nats", Usage: "`URL` of a NATS server; without one, a server of its own. NATS_URL is not looked at", HideDefault: true},
			&cli.StringFlag{Name: "mongo", Usage: "`URI` of a MongoDB for --store mongo; MONGODB_URI", HideDefault: true},
		}, chaosFileFlags(), outputFlags()),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return runChaos(ctx, cmd, stdout, stderr) },
	}
}

func runChaos(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	o, err := chaosOptions(cmd, stderr)
	if err != nil {
		return commandline.Usagef(cmd, "%w", err)
	}
	if err := checkReport(cmd); err != nil {
		return err
	}
	ctx, release := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer release()
	context.AfterFunc(ctx, release) // the second one ends this process
	for rounds := 0; ; rounds++ {
		r, err := chaos.Run(ctx, o)
		switch {
		case err != nil && ctx.Err() != nil && cmd.Bool("until-violation") && !errors.Is(err, chaos.ErrLeft):
			_, err := fmt.Fprintf(stderr, "chaos: interrupted; no violation in %d %s before\n", rounds, pluralNoun(rounds, "round"))
			return err
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("interrupted: %w", err)
		case err != nil:
			return err
		}
		if err := errors.Join(printChaos(cmd, &r, stdout), writeChaosReport(cmd, &r), r.Err()); err != nil || !cmd.Bool("until-violation") {
			return err
		}
		o.Seed = nextSeed(o.Seed)
	}
}

func chaosOptions(cmd *cli.Command, stderr io.Writer) (*chaos.Options, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o := &chaos.Options{
		NATS: cmd.String("nats"), Store: cmd.String("store"), Mongo: cmd.String("mongo"), Duration: cmd.Duration("duration"), Seed: cmd.Uint64("seed"),
		Faults: splitKinds(cmd.String("faults")), Processes: cmd.Int("processes"), Rate: cmd.Int("rate"), Keys: cmd.Int("keys"), Duplicates: cmd.Float("duplicates"),
		Lease: cmd.Duration("lease"), Command: []string{self, chaosProcess}, Server: []string{self, serverProcess}, Program: programName() + " chaos",
		PrintStory: printStory, Output: stderr, Live: isTerminal(stderr),
	}
	if cmd.Bool("quiet") {
		o.Output = nil
	}
	if o.Order, err = consumer.ParseOrder(cmd.String("order")); err != nil {
		return nil, fmt.Errorf("--order: %w", err)
	}
	if !cmd.IsSet("seed") {
		o.Seed = uint64(rand.Uint32()) //nolint:gosec // not secret, and short enough to be typed
	}
	if o.Deployment, err = chaosFile(cmd); err != nil {
		return nil, err
	}
	if o.Deployment != nil {
		o.Command = []string{self, chaosFileProcess}
		if !cmd.IsSet("rate") {
			o.Rate = defaultFileRate
		}
	}
	switch {
	case cmd.Args().Present():
		return nil, fmt.Errorf("unexpected argument %q: chaos takes no arguments", cmd.Args().First())
	case o.Duration == 0:
		return nil, fmt.Errorf("--duration is 0s: at least two leases")
	case o.Lease == 0:
		return nil, fmt.Errorf("--lease is 0s: at least 1s")
	case o.Deployment != nil: // the file says where marks are kept
	case o.Mongo != "" && o.Store != testbed.StoreMongo:
		return nil, fmt.Errorf("--mongo is for --store mongo, and the store is %s", o.Store)
	case o.Mongo == "" && o.Store == testbed.StoreMongo:
		if o.Mongo = os.Getenv("MONGODB_URI"); o.Mongo == "" {
			return nil, errNoMongo
		}
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return o, nil
}

func splitKinds(list string) (kinds []string) {
	for k := range strings.SplitSeq(list, ",") {
		kinds = append(kinds, strings.TrimSpace(k))
	}
	return kinds
}

// checkReport returns an error if the report could not be written: it is better known before the
// work than after it.
func checkReport(cmd *cli.Command) error {
	if path := cmd.String("report"); path != "" {
		return report.CheckFile(path)
	}
	return nil
}

func writeChaosReport(cmd *cli.Command, r *chaos.Result) error {
	if path := cmd.String("report"); path != "" {
		return r.WriteReport(path)
	}
	return nil
}

func printChaos(cmd *cli.Command, r *chaos.Result, stdout io.Writer) error {
	if wantsJSON(cmd) {
		return printJSON(stdout, r)
	}
	return r.Report(stdout)
}

// nextSeed follows from the seed before, and is as short.
func nextSeed(seed uint64) uint64 {
	return rand.New(rand.NewPCG(seed, 0)).Uint64() >> 32 //nolint:gosec // to be repeated, not to be secret
}
