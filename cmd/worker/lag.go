package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

func groupLagCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "lag", Usage: "show how far a group is behind, and what its oldest event waits for", ArgsUsage: "GROUP [TOPIC]",
		Description: `For each topic of the group: how many events are pending (never delivered) and unsettled (delivered, and not acknowledged), how old the oldest one
is, and what it waits for: a run that has not ended, its next attempt, a pause, a process that takes no more, or that there is none. Of a
topic in partitions those are shown that are behind. With --wait it ends once nothing is pending or unsettled in any layout of the topic: then the number of
partitions can be changed. The marks are looked up in MongoDB with --mongo, else in the bucket of NATS. It looks at the first 10000 events
that are not acknowledged.

Examples:
   worker lag billing --mongo mongodb://localhost:27017/shop
   worker lag billing -c worker.yaml
   worker lag billing order.placed -o json | jq '.subscriptions[0].waits'`,
		Flags: slices.Concat([]cli.Flag{
			groupFileFlag("where it"),
			&cli.BoolFlag{Name: "wait", HideDefault: true, Usage: "wait until nothing is pending or unsettled, and print nothing else"},
		}, outputFlags(), config.Flags(dlqSections...)),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return showLag(ctx, cmd, stdout, stderr) },
	}
}

func showLag(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	if n := cmd.Args().Len(); n < 1 || n > 2 {
		return commandline.Usagef(cmd, "%d arguments: name a group, and one of its topics or none for all", n)
	}
	name, topic := cmd.Args().First(), cmd.Args().Get(1)
	return withGroups(ctx, cmd, stderr, dlqSections, func(c *worker.Connections) error {
		if cmd.Bool("wait") {
			return waitUntilSettled(ctx, cmd, c, name, topic, stderr)
		}
		lags, err := findLags(ctx, cmd, c, name, topic)
		if err != nil {
			return err
		}
		if wantsJSON(cmd) {
			return printJSON(stdout, struct {
				Group         string         `json:"group"`
				Subscriptions []*explain.Lag `json:"subscriptions"`
			}{name, lags})
		}
		return printLags(stdout, lags)
	})
}

// findLags is how far a group is behind on a topic, or on all of its own if that is empty.
func findLags(ctx context.Context, cmd *cli.Command, c *worker.Connections, name, topic string) ([]*explain.Lag, error) {
	sources, err := c.Explain(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	if err := readIDs(cmd, &sources.Group, topic); err != nil {
		return nil, err
	}
	if len(sources.Group.Cursors) == 0 {
		return nil, fmt.Errorf("there is no group %q on %s: worker groups list shows those that are there", name, c.BusName())
	}
	lags, err := sources.Lags(ctx, topic)
	if err == nil && len(lags) == 0 {
		err = fmt.Errorf("group %q on %s is not subscribed to %q: worker groups list shows what it is subscribed to", name, c.BusName(), topic)
	}
	return lags, err
}

// printLags writes how far a group is behind on topics, for people. Of a topic in partitions it
// writes the sum, and those that are behind.
func printLags(w io.Writer, lags []*explain.Lag) error {
	for i, l := range lags {
		p, partitioned := bus.ParsePartition(l.Topic)
		if !partitioned {
			if err := printLag(w, l.Topic, l); err != nil {
				return err
			}
			continue
		}
		layout := bus.Partition{Topic: p.Topic, Of: p.Of}
		if isNew := !slices.ContainsFunc(lags[:i], func(l *explain.Lag) bool { return layoutOf(l) == layout }); isNew {
			sum := sumLags(lags, layout)
			if err := printLag(w, fmt.Sprintf("%s in %d partitions", p.Topic, p.Of), &sum); err != nil {
				return err
			}
		}
		if l.Pending+l.Unsettled == 0 {
			continue
		}
		if err := printLag(w, fmt.Sprintf("%s, partition %d of %d", p.Topic, p.Number, p.Of), l); err != nil {
			return err
		}
	}
	return nil
}

// layoutOf is the layout that a lag is of a partition of, with the number 0. The zero Partition: it
// is of none.
func layoutOf(l *explain.Lag) bus.Partition {
	p, _ := bus.ParsePartition(l.Topic)
	p.Number = 0
	return p
}

// sumLags counts what is pending and unsettled in a layout.
func sumLags(lags []*explain.Lag, layout bus.Partition) (sum explain.Lag) {
	for _, l := range lags {
		if layoutOf(l) == layout {
			sum.Pending, sum.Unsettled = sum.Pending+l.Pending, sum.Unsettled+l.Unsettled
		}
	}
	return sum
}

// printLag writes how far a group is behind on a topic, or on a part of it that has a name.
func printLag(w io.Writer, name string, l *explain.Lag) error {
	lines := []string{fmt.Sprintf("%s: %d behind (%d pending, %d unsettled)", name, l.Pending+l.Unsettled, l.Pending, l.Unsettled)}
	if l.Oldest != nil {
		lines[0] += ", for " + time.Duration(l.SecondsBehind*float64(time.Second)).Round(time.Millisecond).String()
		lines = append(lines, "   oldest: "+describeEvent(l.Oldest))
	}
	for _, wait := range l.Waits {
		lines = append(lines, "   waits: "+wait.Text)
	}
	for _, missing := range l.Missing {
		lines = append(lines, "   "+missing)
	}
	return printLines(w, lines)
}

// printLines writes lines without what a terminal would obey.
func printLines(w io.Writer, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, visibleText(line)); err != nil {
			return err
		}
	}
	return nil
}

// describeEvent is an event on one line.
func describeEvent(e *explain.Event) string {
	text := fmt.Sprintf("%s of %s", clipText(e.ID, 128), bus.LogicalTopic(e.Topic))
	if e.Key != "" {
		text += ", key " + clipText(e.Key, 128)
	}
	return fmt.Sprintf("%s, sequence %d, stored %s", text, e.Sequence, formatMillis(e.Stored))
}
