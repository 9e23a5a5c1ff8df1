package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/handlers"
)

func runCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "run a command once for each event of a topic",
		Description: `The command is run by /bin/sh, one process per event, with the event's data as standard input and CE_ID, CE_SOURCE, CE_TYPE,
CE_TIME, TOPIC, GROUP, EVENT_KEY, IDEMPOTENCY_KEY, ATTEMPT and TOKEN in its environment. It inherits the rest, but for NATS_URL,
NATS_CREDS and MONGODB_URI. What it writes goes to the worker's standard output and error.

It answers by its exit status: 0 done; 65 never try again, the event is dead-lettered; anything else try again later. The end of
what it wrote to standard error is the reason. It and its children are killed when it takes too long, when another worker has
taken over, and when the worker dies. If the worker dies before it could note the success, the command is
run again, with the same IDEMPOTENCY_KEY.

Examples:
   worker run --topic order.placed --group billing --exec ./charge
   worker run --topic 'order.>' --group audit --exec 'cat >> audit.ndjson' --concurrency 1 --until-empty

SIGTERM and SIGINT let what runs finish; a second one does not.
Exit status: 0 drained, 1 failed, 2 wrong usage, 3 drain incomplete.`,
		Flags:        append(append(runFlags(), mongoFlag()), connectFlags()...),
		OnUsageError: usageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return run(ctx, cmd, stdout, stderr) },
	}
}

func runFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "topic", Required: true, Validator: bus.ValidPattern, Usage: "`TOPIC` or pattern to subscribe to, such as order.placed or 'order.>'"},
		&cli.StringFlag{Name: "group", Required: true, Validator: notEmpty, Usage: "`GROUP` that handles each event once"},
		&cli.StringFlag{Name: "exec", Required: true, Validator: notEmpty, Usage: "`COMMAND` to run for each event"},
		&cli.BoolFlag{Name: "until-empty", HideDefault: true, Usage: "end when everything on the topic is settled, retries included"},
		&cli.IntFlag{Name: "concurrency", Value: 16, Usage: "how many commands run at once", Validator: positive[int]},
		&cli.IntFlag{Name: "attempts", Value: 10, Usage: "failures at which an event is dead-lettered", Validator: positive[int]},
		&cli.DurationFlag{Name: "backoff", Value: time.Second, Usage: "longest wait after the first failure; it doubles", Validator: positive[time.Duration]},
		&cli.DurationFlag{Name: "backoff-max", Value: 5 * time.Minute, Usage: "longest wait after any failure", Validator: positive[time.Duration]},
		&cli.DurationFlag{Name: "run-limit", Value: 15 * time.Minute, Usage: "how long one run may take", Validator: positive[time.Duration]},
		&cli.DurationFlag{Name: "lease", Value: 30 * time.Second, Usage: "after how long another worker takes over from one that died", Validator: positive[time.Duration]},
		&cli.DurationFlag{Name: "ack-wait", Value: 30 * time.Second, Usage: "after how long the bus delivers again", Validator: positive[time.Duration]},
		&cli.DurationFlag{Name: "ttl", Value: 7 * 24 * time.Hour, Usage: "how long it is remembered what was handled", Validator: positive[time.Duration]},
		&cli.DurationFlag{Name: "drain", Value: 25 * time.Second, Usage: "how long running commands may take to finish at the end", Validator: positive[time.Duration]},
		&cli.StringFlag{Name: "dead-letter", Usage: "`TOPIC` for events that are given up (default: dead.GROUP)", HideDefault: true},
		&cli.StringFlag{Name: "start", Value: "earliest", Usage: "where a new group starts: earliest, latest, or a time such as 2026-01-31T15:04:05Z"},
		&cli.StringFlag{Name: "mode", Value: "claimed", Usage: "claimed, or seen-mark: cheaper, and two copies at once may both run", Validator: oneOf("claimed", "seen-mark")},
	}
}

func positive[T int | time.Duration](v T) error {
	if v <= 0 {
		return fmt.Errorf("%v is not positive", v)
	}
	return nil
}

func notEmpty(s string) error {
	if s == "" {
		return errors.New("it is empty")
	}
	return nil
}

func run(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	if cmd.Args().Present() {
		return usageError(ctx, cmd, fmt.Errorf("%q is too much: quote the command of --exec", cmd.Args().First()), true)
	}
	o, err := consumerOptions(cmd)
	if err != nil {
		return usageError(ctx, cmd, err, true)
	}
	log := logger(cmd, stderr)
	ctx, hurry, release := worker.Signals(ctx, log)
	defer release()
	started := false
	err = connected(ctx, cmd, log, func(c *worker.Connections) error {
		return handle(ctx, cmd, c, stdout, stderr, o, &worker.Options{
			UntilEmpty: cmd.Bool("until-empty"), Hurry: hurry, Logger: log,
			Started: func() {
				started = true
				log.Info("running", "topic", cmd.String("topic"), "group", cmd.String("group"), "bus", c.BusName(), "store", c.StoreName(),
					"concurrency", o.Concurrency)
			},
		})
	})
	if err != nil && !started && ctx.Err() != nil {
		log.Info("ended before it ran", "error", err)
		return nil
	}
	return err
}

// handle runs the command for events until ctx ends.
func handle(ctx context.Context, cmd *cli.Command, c *worker.Connections, stdout, stderr io.Writer, o *consumer.Options, wo *worker.Options) error {
	w, err := worker.New(cmd.String("group"), c, wo)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	x, err := handlers.NewExec(w.Group(), cmd.String("exec"), &handlers.ExecOptions{
		Guard: []string{self, guardCommand}, Env: os.Environ(), Stdout: stdout, Stderr: stderr, Drain: o.Drain,
	})
	if err != nil {
		return err
	}
	w.Defer(x.Close)
	guard := worker.Actor{Name: "guard"}
	guard.Run, guard.Stop = x.Actor()
	w.Add(guard)
	w.Handle(cmd.String("topic"), x.Handle, o)
	return w.Run(ctx)
}

func consumerOptions(cmd *cli.Command) (*consumer.Options, error) {
	o := &consumer.Options{
		Concurrency: cmd.Int("concurrency"), MaxAttempts: cmd.Int("attempts"),
		Backoff:  consumer.Backoff{Base: cmd.Duration("backoff"), Max: max(cmd.Duration("backoff"), cmd.Duration("backoff-max"))},
		RunLimit: cmd.Duration("run-limit"), Lease: cmd.Duration("lease"), AckWait: cmd.Duration("ack-wait"),
		TTL: cmd.Duration("ttl"), Drain: cmd.Duration("drain"), DeadLetter: cmd.String("dead-letter"),
	}
	if cmd.String("mode") == "seen-mark" {
		o.Mode = consumer.SeenMark
	}
	switch start := cmd.String("start"); start {
	case "earliest":
	case "latest":
		o.From = bus.Start{Latest: true}
	default:
		at, err := time.Parse(time.RFC3339, start)
		if err != nil {
			return nil, fmt.Errorf("--start %q is neither earliest nor latest nor a time such as 2026-01-31T15:04:05Z", start)
		}
		o.From = bus.Start{Time: at}
	}
	return o, nil
}
