package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/internal/ndjson"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/view"
)

// letterChange is a command that changes the letters it selects.
type letterChange struct {
	verb, done string
	do         func(context.Context, *worker.Connections, *deadletter.Topic, deadletter.Filter, *deadletter.BulkOptions) (deadletter.Bulk, error)
}

// changeFlags are flags of commands that change letters.
func changeFlags(more ...cli.Flag) []cli.Flag {
	flags := append(letterFlags(), more...)
	flags = append(flags,
		&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, HideDefault: true, Usage: "change nothing: count the letters, and show the first of them"},
		&cli.IntFlag{Name: "limit", HideDefault: true, Usage: "how many letters at most (default: all)", Validator: commandline.Positive},
		yesFlag(", unless the letter is named by --id"))
	return append(flags, append(outputFlags(), config.Flags(dlqSections...)...)...)
}

func redriveCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	change := &letterChange{verb: "redrive", done: "redriven", do: redriveLetters}
	return &cli.Command{
		Name: "redrive", Usage: "have the events of dead letters handled again, after their cause is repaired", ArgsUsage: "GROUP",
		Description: `It publishes the events again, under their ids, for the group alone, and deletes the letters. The group's marks must be where it looks: in MongoDB with
--mongo, else in the bucket of NATS. What the group has handled since is not handled again, however often it is redriven, by however many people. What
fails again has a new letter, which this redrive leaves alone. One that is interrupted goes on when it is repeated.

Examples:
   worker dlq redrive billing --id 17
   worker dlq redrive billing --error timeout --dry-run
   worker dlq redrive billing --error timeout --limit 20 --yes
   worker dlq redrive billing --topic '>' --rps 100 --yes --mongo mongodb://localhost:27017/shop
   worker dlq redrive billing-old --topic '>' --to-group billing --yes`,
		Flags: changeFlags(
			&cli.StringFlag{Name: "to-group", HideDefault: true, Usage: "the `GROUP` that is to handle the events, if the one that gave them up was renamed"},
			&cli.FloatFlag{Name: "rps", Value: 50, Usage: "how many letters a second at most; 0: as many as possible"},
		),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return change.run(ctx, cmd, stdin, stdout, stderr) },
	}
}

func dropLettersCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	change := &letterChange{
		verb: "drop", done: "dropped",
		do: func(ctx context.Context, _ *worker.Connections, t *deadletter.Topic, f deadletter.Filter, o *deadletter.BulkOptions) (deadletter.Bulk, error) {
			return t.DropAll(ctx, f, o)
		},
	}
	return &cli.Command{
		Name: "drop", Usage: "delete dead letters for good", ArgsUsage: "GROUP",
		Description: `Their events stay given up: the group acknowledges them unrun if they are published again.

Examples:
   worker dlq drop billing --id 17
   worker dlq drop billing --type order.test --until 30d --yes`,
		Flags:        changeFlags(),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return change.run(ctx, cmd, stdin, stdout, stderr) },
	}
}

// redriveLetters redrives for a group that keeps its marks in the store of the connections.
func redriveLetters(
	ctx context.Context, c *worker.Connections, t *deadletter.Topic, f deadletter.Filter, o *deadletter.BulkOptions,
) (deadletter.Bulk, error) {
	group := f.Group
	if o.ToGroup != "" {
		group = o.ToGroup
	}
	store, err := c.GroupMarks(ctx, group)
	switch {
	case errors.Is(err, worker.ErrNoMarks):
		return deadletter.Bulk{}, fmt.Errorf("%w: repeat with the --mongo and --namespace of its workers, or without, for NATS", err)
	case errors.Is(err, worker.ErrNoConsumer):
		return deadletter.Bulk{}, fmt.Errorf("%w, so nobody would handle the events: start its workers first, or name the group that replaces it with --to-group", err)
	case err != nil:
		return deadletter.Bulk{}, err
	}
	layout, err := c.GroupLayout(ctx, group)
	if err != nil {
		return deadletter.Bulk{}, err
	}
	return t.In(layout).RedriveAll(ctx, store, f, o)
}

func (k *letterChange) run(ctx context.Context, cmd *cli.Command, stdin io.Reader, stdout, stderr io.Writer) error {
	f, err := letterFilter(cmd, time.Now())
	if err != nil {
		return err
	}
	if f == (deadletter.Filter{Group: f.Group}) {
		return commandline.Usagef(cmd, "which letters? Name --id, --topic, --type, --error, --reason, --data, --since or --until; --topic '>' is all")
	}
	if cmd.Float("rps") < 0 {
		return commandline.Usagef(cmd, "--rps is %v: it must be 0 or above", cmd.Float("rps"))
	}
	if cmd.Bool("dry-run") {
		return withLetters(ctx, cmd, stderr, 1, func(_ *worker.Connections, t *deadletter.Topic) error {
			return k.previewChange(ctx, cmd, t, f, stdout, stderr)
		})
	}
	ask := &confirmedChange{cmd: cmd, stdin: stdin, stderr: stderr, verb: k.verb, sure: f.ID != ""}
	what := describeLetters(&f)
	if to := cmd.String("to-group"); to != "" {
		what += " to the group " + visibleText(to)
	}
	if err := ask.checkCanAsk(what); err != nil {
		return err
	}
	return withLetters(ctx, cmd, stderr, 1, func(c *worker.Connections, t *deadletter.Topic) error {
		if err := ask.confirmChange(c.BusName(), what); err != nil {
			return err
		}
		return k.changeLetters(ctx, cmd, c, t, f, stdout, stderr)
	})
}

func (k *letterChange) changeLetters(
	ctx context.Context, cmd *cli.Command, c *worker.Connections, t *deadletter.Topic, f deadletter.Filter, stdout, stderr io.Writer,
) error {
	ctx, _, release := worker.Signals(ctx, commandline.Logger(stderr, "text", "error"))
	defer release()
	show := newProgress(stderr, cmd.Bool("quiet"), k.done, "letters")
	n, err := k.do(ctx, c, t, f, &deadletter.BulkOptions{
		ToGroup: cmd.String("to-group"), Limit: cmd.Int("limit"), PerSecond: cmd.Float("rps"),
		Failed: func(_ *deadletter.Letter, err error) {
			show.reportFailed(err)
		},
		Progress: func(n deadletter.Bulk) { show.showStored(ndjson.Published{Stored: n.Done}) },
	})
	show.finish()
	if err != nil && n == (deadletter.Bulk{}) {
		return err
	}
	if n.Superseded > 0 && !cmd.Bool("quiet") {
		_, _ = fmt.Fprintf(stderr, "%d %s superseded by edits: only edits are redriven\n", n.Superseded, pluralNoun(n.Superseded, "letter")) // nobody else to tell
	}
	if err == nil && n.Done == 0 && n.Superseded > 0 {
		err = errors.New("nothing was redriven: worker dlq list shows the edits; redrive them, or drop them first")
	}
	if err == nil && n.Failed > 0 {
		err = fmt.Errorf("%d %s not %s", n.Failed, pluralNoun(n.Failed, "letter"), k.done)
	}
	return errors.Join(k.reportChanged(cmd, stdout, n), err)
}

// previewChange counts what would be changed, and shows the first letters of it.
func (k *letterChange) previewChange(ctx context.Context, cmd *cli.Command, t *deadletter.Topic, f deadletter.Filter, stdout, stderr io.Writer) error {
	p, err := t.Preview(ctx, f, cmd.Int("limit"))
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		return printJSON(stdout, struct {
			Topic    string        `json:"topic"`
			Selected int           `json:"selected"`
			Skipped  int           `json:"skipped"`
			First    []view.Letter `json:"first"`
		}{letterTopic(cmd), p.Selected, p.Skipped, view.NewLetters(p.First)})
	}
	if err := printLetters(stdout, p.First); err != nil || cmd.Bool("quiet") {
		return err
	}
	reportSkipped(stderr, p.Skipped)
	_, err = fmt.Fprintf(stderr, "%d %s would be %s; nothing was changed\n", p.Selected, pluralNoun(p.Selected, "letter"), k.done)
	return err
}

func (k *letterChange) reportChanged(cmd *cli.Command, stdout io.Writer, n deadletter.Bulk) error {
	if wantsJSON(cmd) {
		return printJSON(stdout, struct {
			Topic      string `json:"topic"`
			Done       int    `json:"done"`
			Gone       int    `json:"gone"`
			Failed     int    `json:"failed"`
			Superseded int    `json:"superseded"`
		}{letterTopic(cmd), n.Done, n.Gone, n.Failed, n.Superseded})
	}
	if cmd.Bool("quiet") {
		return nil
	}
	_, err := fmt.Fprintf(stdout, "%d %s %s\n", n.Done, pluralNoun(n.Done, "letter"), k.done)
	return err
}
