package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/cmd/worker/internal/demo"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/internal/redact"
	"github.com/onceish/onceish/worker/embedded"
)

// demoProcess is how this program starts itself as a worker process of the demo.
const demoProcess = "__demo"

func demoCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "kill workers while they work, and count what became of their events",
		Description: `Publishes events, some of them two and three times, to a few worker processes, kills processes by SIGKILL while they work, replaces
them, and counts each event's effects in a journal of its own: what is lost, what is repeated, and why.

It needs nothing: a NATS server runs in a temporary directory. On servers of yours it makes a stream, and a bucket or a collection,
with fresh names, and removes them in the end. The buckets in which all groups on a server keep their members and pauses stay.

It prints the command that pauses its workers, for another terminal, where status, members and resume take the same arguments.

Examples:
   worker demo
   worker demo --kills 10 --events 100000
   worker demo --store mongo --mongo mongodb://localhost:27017
   worker demo --store mongo --atomic --kills 10

With --atomic, an effect is a change of a MongoDB document, in one write with the event's mark: no kill comes in between, and none
excuses a repeat.

Exit status: 0 nothing lost and no repeat unexplained, 1 otherwise, 2 wrong usage.`,
		Flags: append([]cli.Flag{
			&cli.IntFlag{Name: "events", Value: demo.DefaultEvents, Usage: "how many different events are published", Validator: commandline.Positive},
			&cli.IntFlag{Name: "kills", Value: demo.DefaultKills, Usage: "how many processes are killed; 0 with --store memory"},
			&cli.IntFlag{Name: "processes", Value: demo.DefaultProcesses, Usage: "how many work at a time; 1 with --store memory", Validator: commandline.Positive},
			&cli.Uint64Flag{Name: "seed", HideDefault: true, Usage: "`NUMBER` that decides which events are copied, which runs fail, and when to kill (default: a random one, which is printed)"},
			&cli.StringFlag{
				Name: "store", Value: testbed.StoreKV, Usage: "where marks are kept: kv (in NATS), mongo or memory",
				Validator: commandline.OneOf(testbed.StoreKV, testbed.StoreMongo, testbed.StoreMemory),
			},
			&cli.BoolFlag{Name: "atomic", HideDefault: true, Usage: "effects are changes of MongoDB documents that carry their marks; needs --store mongo"},
			&cli.StringFlag{Name: "nats", Usage: "`URL` of a NATS server; without one, a server of its own. NATS_URL is not looked at", HideDefault: true},
			&cli.StringFlag{Name: "mongo", Usage: "`URI` of a MongoDB for --store mongo; MONGODB_URI", HideDefault: true},
		}, outputFlags()...),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return runDemo(ctx, cmd, stdout, stderr) },
	}
}

func runDemo(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) (err error) {
	o, err := demoOptions(cmd, stderr)
	if err != nil {
		return commandline.Usagef(cmd, "%w", err)
	}
	ctx, release := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer release()
	context.AfterFunc(ctx, release) // the second one ends this process
	if o.NATS != "" {
		o.Pause = programName() + " pause --nats " + redact.URL(o.NATS)
	} else {
		s, dir, closing, err := ownServer(ctx, stderr)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closing()) }()
		o.NATS, o.Pause = s.URL(), programName()+" pause --data-dir "+dir
	}
	r, err := demo.Run(ctx, o)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	if r.Unique == 0 {
		return err
	}
	return errors.Join(tellResult(cmd, o, r, stdout), err, r.Err())
}

// ownServer serves a temporary directory, which closing removes.
func ownServer(ctx context.Context, stderr io.Writer) (s *embedded.Server, dir string, closing func() error, err error) {
	if dir, err = os.MkdirTemp("", "onceish-demo-nats-"); err != nil {
		return nil, "", nil, err
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if s, err = embedded.Open(ctx, dir, log); err != nil {
		return nil, "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, dir, func() error { return errors.Join(s.Close(), os.RemoveAll(dir)) }, nil
}

func demoOptions(cmd *cli.Command, stderr io.Writer) (*demo.Options, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o := &demo.Options{
		NATS: cmd.String("nats"), Store: cmd.String("store"), Mongo: cmd.String("mongo"), Atomic: cmd.Bool("atomic"), Events: cmd.Int("events"), Processes: cmd.Int("processes"),
		Kills: cmd.Int("kills"), Seed: cmd.Uint64("seed"), Command: []string{self, demoProcess}, Output: stderr, Live: isTerminal(stderr),
	}
	if cmd.Bool("quiet") {
		o.Output = nil
	}
	if !cmd.IsSet("seed") {
		o.Seed = uint64(rand.Uint32()) //nolint:gosec // not secret, and short enough to be typed
	}
	if o.Store == testbed.StoreMemory && !cmd.IsSet("kills") {
		o.Kills = 0
	}
	if o.Store == testbed.StoreMemory && !cmd.IsSet("processes") {
		o.Processes = 1
	}
	switch {
	case cmd.Args().Present():
		return nil, fmt.Errorf("unexpected argument %q: the demo takes no arguments", cmd.Args().First())
	case o.Mongo != "" && o.Store != testbed.StoreMongo:
		return nil, fmt.Errorf("--mongo is for --store mongo, and the store is %s", o.Store)
	case o.Atomic && o.Store != testbed.StoreMongo:
		return nil, fmt.Errorf("--atomic is for --store mongo, and the store is %s", o.Store)
	case o.Mongo == "" && o.Store == testbed.StoreMongo:
		o.Mongo = os.Getenv("MONGODB_URI")
		if o.Mongo == "" {
			return nil, errNoMongo
		}
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return o, nil
}

var errNoMongo = errors.New("--store mongo needs a MongoDB: set --mongo or MONGODB_URI; in a checkout, scripts/mongo brings one up and prints its URI")

// tellResult writes what was counted, and in text what to try next.
func tellResult(cmd *cli.Command, o *demo.Options, r demo.Result, w io.Writer) error {
	if wantsJSON(cmd) {
		return printJSON(w, r)
	}
	if err := r.Report(w); err != nil {
		return err
	}
	self := programName()
	mongo := self + " demo --kills 5 --store mongo --atomic --mongo mongodb://localhost:27017"
	switch {
	case o.Atomic:
		mongo = self + " demo --kills 10 --events 50000"
	case strings.HasPrefix(self, "go run "):
		mongo = "MONGODB_URI=$(scripts/mongo) " + self + " demo --kills 5 --store mongo --atomic"
	}
	_, err := fmt.Fprintf(w, `
Seed %d. Try next:
  %s
  printf '{"id":"1"}\n{"id":"1"}\n{"id":"2"}\n' | %s publish order.placed
  %s run --topic order.placed --group billing --until-empty --exec 'echo "charging for order $CE_ID"'
`, o.Seed, mongo, self, self)
	return err
}

// programName is how this program was started: by its name or its path, or by go run, which keeps
// what it has built for a while.
func programName() string {
	if name := os.Args[0]; !filepath.IsAbs(name) || !strings.Contains(name, "go-build") {
		return name
	}
	return "go run ./cmd/worker"
}
