package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/view"
)

func deferredCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "deferred",
		Usage: "look after events that wait for their summary",
		Description: `A subscription with defer: handles the first events of a key at once, and sums up the others. These wait on the topic deferred.GROUP.

Examples:
   worker deferred list pager
   worker deferred flush pager
   worker deferred drop pager --key db-1 --yes

Exit status: 0 done, 1 failed, or not asked for after all, 2 wrong usage.`,
		Commands: []*cli.Command{
			listDeferredCommand(stdout, stderr), flushDeferredCommand(stdout, stderr), dropDeferredCommand(stdin, stdout, stderr), helpCommand(stdout, "deferred"),
		},
		OnUsageError: commandline.UsageError,
		Action:       showHelp,
	}
}

// deferredFlags are those of all commands about what is deferred.
func deferredFlags(more ...cli.Flag) []cli.Flag {
	return slices.Concat(more, []cli.Flag{
		&cli.StringFlag{Name: "topic", Usage: "`TOPIC` of the deferred events (default: deferred.GROUP)", HideDefault: true},
	}, outputFlags(), config.Flags(dlqSections...))
}

func listDeferredCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "show what waits, by key", ArgsUsage: "GROUP",
		Description: `One line for each key with deferred events, the one that waits longest first. It looks for marks in MongoDB with --mongo, else in the bucket of NATS.

Example:
   worker deferred list pager -o json | jq '.keys[] | select(.events > 100)'`,
		Flags:        deferredFlags(&cli.IntFlag{Name: "limit", Value: 100, Usage: "how many keys at most", Validator: commandline.Positive}),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withDeferred(ctx, cmd, stderr, func(d *worker.Deferred) error { return listDeferred(ctx, cmd, stdout, d) })
		},
	}
}

func flushDeferredCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "flush", Usage: "make the summaries of what waits now", ArgsUsage: "GROUP",
		Description: `The process of the group that makes summaries makes those of all that is deferred by now. It does not wait for that: see worker deferred list.

Example:
   worker deferred flush pager`,
		Flags:        deferredFlags(),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withDeferred(ctx, cmd, stderr, func(d *worker.Deferred) error {
				if err := d.Flush(ctx); err != nil {
					return err
				}
				return printDone(cmd, stdout, map[string]any{"topic": d.Topic(), "flushed": true}, "summaries of what waits on %s are due now\n", visibleText(d.Topic()))
			})
		},
	}
}

func dropDeferredCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "drop", Usage: "delete what waits, without a summary", ArgsUsage: "GROUP",
		Description: `The events count as done, and will be in no summary. Those of a summary that is being made are left alone.

Example:
   worker deferred drop pager --key db-1 --yes`,
		Flags:        deferredFlags(&cli.StringFlag{Name: "key", Usage: "the events of this `KEY` alone", HideDefault: true}, yesFlag("")),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			c := &confirmedChange{cmd: cmd, stdin: stdin, stdout: stdout, stderr: stderr, verb: "drop", done: "dropped"}
			if err := c.checkCanAsk("what is deferred"); err != nil {
				return err
			}
			return withDeferred(ctx, cmd, stderr, func(d *worker.Deferred) error { return dropDeferred(ctx, c, d) })
		},
	}
}

// withDeferred calls f with what the group has deferred that the argument names.
func withDeferred(ctx context.Context, cmd *cli.Command, stderr io.Writer, f func(*worker.Deferred) error) error {
	if n := cmd.Args().Len(); n != 1 {
		return commandline.Usagef(cmd, "%d arguments: name one group", n)
	}
	if topic := cmd.String("topic"); topic != "" {
		if err := bus.ValidTopic(topic); err != nil {
			return commandline.Usagef(cmd, "%w", err)
		}
	}
	return withGroups(ctx, cmd, stderr, dlqSections, func(c *worker.Connections) error {
		d, err := c.Deferred(ctx, cmd.Args().First(), cmd.String("topic"))
		if errors.Is(err, bus.ErrNoStream) {
			return fmt.Errorf("the group has deferred nothing yet, its deferred events are on another topic (--topic), or its name is another one (worker groups list): %w", err)
		}
		if err != nil {
			return err
		}
		return f(d)
	})
}

// deferredKey is a key to programs.
type deferredKey struct {
	Key    string `json:"key"`
	Events int    `json:"events"`
	Oldest string `json:"oldest"`
}

func listDeferred(ctx context.Context, cmd *cli.Command, stdout io.Writer, d *worker.Deferred) error {
	waiting, err := d.List(ctx)
	if err != nil {
		return err
	}
	keys, events := len(waiting), countDeferred(waiting)
	shown := waiting[:min(len(waiting), cmd.Int("limit"))]
	if wantsJSON(cmd) {
		list := make([]deferredKey, len(shown))
		for i, w := range shown {
			list[i] = deferredKey{w.Key, w.Events, view.FormatTime(w.Oldest)}
		}
		return printJSON(stdout, map[string]any{"topic": d.Topic(), "events": events, "count": keys, "keys": list})
	}
	if keys == 0 {
		_, err := fmt.Fprintf(stdout, "nothing waits on %s\n", visibleText(d.Topic()))
		return err
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "KEY\tEVENTS\tOLDEST") // Flush reports what fails
	for _, w := range shown {
		_, _ = fmt.Fprintf(t, "%s\t%d\t%s\n", visibleText(clipText(w.Key, 64)), w.Events, time.Since(w.Oldest).Round(time.Second))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d %s of %d %s\n", events, pluralNoun(events, "event"), keys, pluralNoun(keys, "key"))
	return err
}

func countDeferred(waiting []deferral.Waiting) (n int) {
	for i := range waiting {
		n += waiting[i].Events
	}
	return n
}

func dropDeferred(ctx context.Context, c *confirmedChange, d *worker.Deferred) error {
	waiting, err := d.List(ctx)
	if err != nil {
		return err
	}
	if c.cmd.IsSet("key") {
		key := c.cmd.String("key")
		waiting = slices.DeleteFunc(waiting, func(w deferral.Waiting) bool { return w.Key != key })
	}
	n := countDeferred(waiting)
	if n > 0 {
		if err := c.confirmChange(visibleText(d.Topic()), fmt.Sprintf("%d deferred %s", n, pluralNoun(n, "event"))); err != nil {
			return err
		}
	}
	dropped, err := d.Drop(ctx, waiting...)
	if err != nil {
		return err
	}
	return printDone(c.cmd, c.stdout, map[string]any{"topic": d.Topic(), "dropped": dropped.Events, "busy": dropped.Busy},
		"%d %s dropped; %d being summed up, and left alone\n", dropped.Events, pluralNoun(dropped.Events, "event"), dropped.Busy)
}

// printDone prints what was done, as JSON or as text.
func printDone(cmd *cli.Command, stdout io.Writer, values map[string]any, text string, args ...any) error {
	if wantsJSON(cmd) {
		return printJSON(stdout, values)
	}
	if cmd.Bool("quiet") {
		return nil
	}
	_, err := fmt.Fprintf(stdout, text, args...)
	return err
}
