package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/replay"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

const replayHelp = `With --to-group it stores a copy of each event, which the other groups acknowledge unrun. What the group has a mark of it recognises, and
does not run: a replay may be repeated, interrupted or started twice. The group's marks must be where it looks: in MongoDB with --mongo,
else in the bucket of NATS. Marks expire (7 days by default): what was handled longer ago runs a second time. --dry-run counts what would
run, and writes nothing.

With --again SCOPE the events run a second time on purpose, each once in a scope of that name, under another idempotency key.

Events are replayed as they were published, not as they were edited (worker dlq edit). Without --again the group gives such an event up
as id_reused, for its mark is of the edit, and the dry run counts it as done or dead; drop that letter. With --again the event runs unedited.

With --to-topic it publishes the events of one topic to another one, under their ids. A repeat stores none twice for as long as the
stream remembers message ids.

With --partitions the events go to the partitions of that topic, which may be the same one: what was published to the topic itself, or to
another number of partitions ('order.placed.of8.>'), moves to where the group reads it. It is the same event there: what the group has
handled does not run again.
It ends at the end of the stream as it was when it began. Dead letters, copies for one group and messages that are no events are left
out. When it is interrupted, it says after which position to go on.

Examples:
   worker replay order.placed --to-group billing --from 2h --dry-run
   worker replay 'order.>' --to-group billing --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z --type order.placed --yes
   worker replay order.placed --to-group billing --from 2h --again fix-4711 --yes --mongo mongodb://localhost:27017/shop
   worker replay order.placed --to-topic order.copied --yes
   worker replay order.placed --to-topic order.placed --partitions 8 --yes

Exit status: 0 done, 1 failed, interrupted, or not asked for after all, 2 wrong usage.`

func replayCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:        "replay",
		Usage:       "publish stored events again, for one group or to another topic",
		ArgsUsage:   "TOPIC",
		Description: replayHelp,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "to-group", Usage: "the `GROUP` that is to handle the events", HideDefault: true},
			&cli.StringFlag{Name: "to-topic", Usage: "the `TOPIC` that is to have the events", HideDefault: true},
			&cli.IntFlag{Name: "partitions", HideDefault: true, Usage: "with --to-topic, into how many partitions of it, `N`; the topic itself may be named: its events move into them", Validator: validPartitions},
		}, rangeFlags(), eventFlags(), []cli.Flag{
			&cli.FloatFlag{Name: "rps", HideDefault: true, Usage: "how many events a second at most; 0: as many as possible (default: 50 to a group, whose receivers have other work too, and 0 to a topic)"},
			&cli.IntFlag{Name: "limit", HideDefault: true, Usage: "how many events at most (default: all)", Validator: commandline.Positive},
			&cli.StringFlag{Name: "again", HideDefault: true, Usage: "run the events once more within this `SCOPE`, 1 to 64 letters, digits, '.', '_' and '-'"},
			&cli.BoolFlag{Name: "dry-run", HideDefault: true, Usage: "write nothing, and say what would run"},
			groupFileFlag("for --dry-run where it"),
			yesFlag(", unless the events are named by --id"),
		}, outputFlags(), config.Flags(dlqSections...)),
		DisableSliceFlagSeparator: true, // ids and headers may have commas
		OnUsageError:              commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			p, err := newReplayPlan(cmd, time.Now())
			if err != nil {
				return err
			}
			ask := &confirmedChange{cmd: cmd, stdin: stdin, stderr: stderr, verb: "replay", sure: p.dryRun || len(p.filter.IDs) > 0}
			if err := ask.checkCanAsk(p.what()); err != nil {
				return err
			}
			return withGroups(ctx, cmd, stderr, dlqSections, func(c *worker.Connections) error { return p.run(ctx, cmd, c, ask, stdout) })
		},
	}
}

// replayPlan is what arguments and flags ask for.
type replayPlan struct {
	topic, group, target string
	again                string
	layout               bus.Layout // where copies go: of --partitions, or of the group
	r                    bus.Range
	filter               replay.Filter
	limit                int
	perSecond            float64
	dryRun               bool
	file                 string
}

func newReplayPlan(cmd *cli.Command, now time.Time) (*replayPlan, error) {
	if n := cmd.Args().Len(); n != 1 {
		return nil, commandline.Usagef(cmd, "%d arguments: name a topic", n)
	}
	p := &replayPlan{
		topic: cmd.Args().First(), group: cmd.String("to-group"), target: cmd.String("to-topic"), again: cmd.String("again"),
		layout: flagLayout(cmd, cmd.String("to-topic")), limit: cmd.Int("limit"), perSecond: cmd.Float("rps"), dryRun: cmd.Bool("dry-run"), file: cmd.String("config"),
	}
	if !cmd.IsSet("rps") && p.group != "" {
		p.perSecond = 50
	}
	var err error
	if p.filter, err = eventFilter(cmd); err != nil {
		return nil, err
	}
	if p.r, err = readRange(cmd, now); err != nil {
		return nil, commandline.Usagef(cmd, "%w", err)
	}
	if err := p.validate(); err != nil {
		return nil, commandline.Usagef(cmd, "%w", err)
	}
	return p, nil
}

func (p *replayPlan) validate() error {
	if err := bus.ValidPattern(p.topic); err != nil {
		return err
	}
	switch {
	case (p.group == "") == (p.target == ""):
		return errors.New("where to? Name --to-group or --to-topic, one of them")
	case p.perSecond < 0:
		return fmt.Errorf("--rps is %v: it must be 0 or above", p.perSecond)
	case p.again != "" && bus.ValidAgain(p.again) != nil:
		return fmt.Errorf("--again: %w", bus.ValidAgain(p.again))
	case p.target != "" && (p.again != "" || p.dryRun):
		return errors.New("--again and --dry-run are for --to-group")
	case p.file != "" && !p.dryRun:
		return errors.New("--config is for --dry-run: the workers know what an event's id is")
	case p.layout != nil && p.target == "":
		return errors.New("--partitions is for --to-topic: copies for a group go where it reads")
	case p.target != "" && p.layout == nil && strings.ContainsAny(p.topic, "*>"):
		return fmt.Errorf("%q is a pattern: name one topic, for under two there may be events of one id", p.topic)
	case p.target != "" && p.topic == p.target && p.layout == nil:
		return fmt.Errorf("--to-topic is %q itself: name another one, --to-group, or --partitions to move its events into", p.target)
	}
	return bus.ValidTopic(p.target + p.group) // one of them is empty
}

// what is replayed, in words.
func (p *replayPlan) what() string {
	to := "to the topic " + visibleText(p.target)
	if n := p.layout[p.target]; n > 0 {
		to = fmt.Sprintf("into %d partitions of the topic %s", n, visibleText(p.target))
	}
	if p.group != "" {
		to = "to the group " + visibleText(p.group)
	}
	words := describeEvents(p.topic, &p.filter) + " " + to
	if p.again != "" {
		words += ", which runs each of them once more in the scope " + p.again + ", also those that are done"
	}
	return words
}

func (p *replayPlan) run(ctx context.Context, cmd *cli.Command, c *worker.Connections, ask *confirmedChange, stdout io.Writer) error {
	var target replayTarget
	if p.group != "" {
		var err error
		if target, err = findReplayTarget(ctx, c, p.group, p.topic); err != nil {
			return err
		}
		if p.layout, err = c.GroupLayout(ctx, p.group); err != nil {
			return err
		}
		p.topic = readIn(p.layout, p.topic)
	}
	end := endOf(ctx, c.Bus(), p.topic, &p.r)
	if p.dryRun {
		return p.preview(ctx, cmd, c, target, end, stdout, ask.stderr)
	}
	if err := p.warnOfLimits(ctx, c, ask.stderr); err != nil {
		return err
	}
	if err := ask.confirmChange(c.BusName(), p.what()); err != nil {
		return err
	}
	return p.publish(ctx, cmd, c, end, stdout, ask.stderr)
}

// readIn is what is read for a topic: its partitions, if the group reads it in some.
func readIn(layout bus.Layout, topic string) string {
	if n := layout[topic]; n > 0 {
		return fmt.Sprintf("%s.of%d.>", topic, n)
	}
	return topic
}

// warnOfLimits says so if copies for a group may push events out of their stream.
func (p *replayPlan) warnOfLimits(ctx context.Context, c *worker.Connections, stderr io.Writer) error {
	if p.group == "" {
		return nil
	}
	info, err := c.Bus().Topic(ctx, p.topic, p.group, bus.Start{})
	if l := info.Limits; err == nil && (l.Events > 0 || l.Bytes > 0 || l.EventsPerTopic > 0) {
		_, _ = fmt.Fprintln(stderr, "the stream is bounded, and copies take room in it: when it is full it drops its oldest events, handled or not") // nobody else to tell
	}
	return err
}

func (p *replayPlan) publish(ctx context.Context, cmd *cli.Command, c *worker.Connections, end func() uint64, stdout, stderr io.Writer) error {
	ctx, forceStop, release := worker.Signals(ctx, commandline.Logger(stderr, "text", "error"))
	defer release()
	show := newTransferProgress(stderr, cmd.Bool("quiet"), "replayed")
	o := &replay.Options{
		Filter: p.filter, Again: p.again, Layout: p.layout, Limit: p.limit, PerSecond: p.perSecond, ForceStop: forceStop,
		Failed: func(_ bus.Position, err error) { show.reportFailed(err) },
		Progress: func(n replay.Replayed) {
			if p.limit > 0 {
				show.show(n.Stored, uint64(n.Stored), uint64(p.limit))
				return
			}
			show.show(n.Stored, n.Last.Sequence, end())
		},
	}
	var n replay.Replayed
	var err error
	if p.group != "" {
		n, err = replay.ToGroup(ctx, c.Bus(), p.topic, p.r, p.group, o)
	} else {
		n, err = replay.ToTopic(ctx, c.Bus(), p.topic, p.r, p.target, o)
	}
	show.finish()
	if failed := n.Refused + n.LeftOut.Malformed; err == nil && failed > 0 {
		err = fmt.Errorf("%d %s not replayed", failed, pluralNoun(failed, "event"))
	}
	if err != nil && n == (replay.Replayed{}) {
		return err
	}
	return errors.Join(p.reportReplayed(cmd, n, err != nil, stdout, stderr), err)
}
