package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/view"
)

func groupsCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "groups",
		Usage: "look after the groups that consume from NATS",
		Description: `A group has a durable consumer on each of its topics, and marks and a watermark in its store.

Examples:
   worker groups list
   worker groups lag billing -o json | jq '[.groups[].pending] | add'
   worker groups remove billing-old --mongo mongodb://localhost:27017/shop

Exit status: 0 done, 1 failed, or not asked for after all, 2 wrong usage.`,
		Commands:     []*cli.Command{listGroupsCommand(stdout, stderr), lagCommand(stdout, stderr), removeGroupCommand(stdin, stdout, stderr)},
		OnUsageError: commandline.UsageError,
		Action:       showHelp,
	}
}

func listGroupsCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the groups, their topics, streams and consumers", ArgsUsage: "[GROUP]",
		Flags:        append(outputFlags(), config.Flags(natsSections...)...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return showGroups(ctx, cmd, stdout, stderr, "GROUP\tTOPIC\tSTREAM\tCONSUMER", func(g *natsbus.Group) string {
				return fmt.Sprintf("%s\t%s\t%s\t%s", visibleText(g.Name), visibleText(g.Topic), visibleText(g.Stream), visibleText(g.Consumer))
			})
		},
	}
}

func lagCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "lag", Usage: "show how far groups are behind", ArgsUsage: "[GROUP]",
		Description: `PENDING events were never delivered to the group. UNSETTLED ones were: they run, or wait for their next attempt. PULLS are requests for events
that wait at the server: none where no worker runs, or where all are busy. IDLE is how long ago an event was delivered or acknowledged;
unknown if the server has started since.`,
		Flags:        append(outputFlags(), config.Flags(natsSections...)...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return showGroups(ctx, cmd, stdout, stderr, "GROUP\tTOPIC\tPENDING\tUNSETTLED\tPULLS\tIDLE", func(g *natsbus.Group) string {
				idle := "unknown"
				if g.Idle > 0 {
					idle = g.Idle.Round(time.Second).String()
				}
				return fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%s", visibleText(g.Name), visibleText(g.Topic), g.Pending, g.Unsettled, g.Pulls, idle)
			})
		},
	}
}

// showGroups shows all groups, or the one that is named, which must be there.
func showGroups(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer, head string, row func(*natsbus.Group) string) error {
	if cmd.Args().Len() > 1 {
		return commandline.Usagef(cmd, "unexpected argument %q: name one group, or none for all", cmd.Args().Get(1))
	}
	return withGroups(ctx, cmd, stderr, natsSections, func(c *worker.Connections) error {
		groups, err := namedGroups(ctx, c, cmd.Args().First())
		if err != nil {
			return err
		}
		if wantsJSON(cmd) {
			return printJSON(stdout, struct {
				Groups []view.Group `json:"groups"`
			}{view.NewGroups(groups)})
		}
		if len(groups) == 0 {
			return nil
		}
		t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, head) // Flush tells of what fails
		for i := range groups {
			_, _ = fmt.Fprintln(t, row(&groups[i]))
		}
		return t.Flush()
	})
}

// namedGroups are a group on all its topics. Empty: all groups.
func namedGroups(ctx context.Context, c *worker.Connections, name string) (out []natsbus.Group, err error) {
	all, err := c.Groups(ctx)
	if name == "" || err != nil {
		return all, err
	}
	for _, g := range all {
		if g.Name == name {
			out = append(out, g)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no group %q on %s: see worker groups list", name, c.BusName())
	}
	return out, nil
}

// withGroups calls f with connections that say little: what is asked for is the output.
func withGroups(ctx context.Context, cmd *cli.Command, stderr io.Writer, sections []config.Section, f func(*worker.Connections) error) error {
	c, err := config.FromFlags(cmd, sections...)
	if err != nil {
		return err
	}
	if !cmd.IsSet("log-level") {
		c.Log.Level = "warn"
	}
	return withConnections(ctx, connectOptions(cmd, c, newLogger(c, stderr)), f)
}

func removeGroupCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	sections := append([]config.Section{config.SectionMongo}, natsSections...)
	return &cli.Command{
		Name: "remove", Usage: "remove a group that is no more", ArgsUsage: "GROUP",
		Description: `It removes the group's consumers on all topics, and its marks and watermarks: in MongoDB with --mongo, else in the bucket of NATS. A group of this name
is new afterwards. A group whose workers run is refused. Of one with unsettled events, or without a consumer, nobody can
tell: --force says that none of its workers runs. Marks inside of documents, of effects that change a document, stay until they expire.

Example:
   worker groups remove billing-old --mongo mongodb://localhost:27017/shop`,
		Flags: append([]cli.Flag{
			yesFlag(""),
			&cli.BoolFlag{Name: "force", HideDefault: true, Usage: "none of the group's workers runs, though that does not show"},
		}, append(outputFlags(), config.Flags(sections...)...)...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return commandline.Usagef(cmd, "name one group")
			}
			group := cmd.Args().First()
			ask := &confirmedChange{cmd: cmd, stdin: stdin, stderr: stderr, verb: "remove"}
			what := fmt.Sprintf("the group %q and all that is remembered of it", group)
			if err := ask.checkCanAsk(what); err != nil {
				return err
			}
			return withGroups(ctx, cmd, stderr, sections, func(c *worker.Connections) error {
				if err := ask.confirmChange(c.BusName(), what); err != nil {
					return err
				}
				r, err := c.RemoveGroup(ctx, group, cmd.Bool("force"))
				switch {
				case errors.Is(err, worker.ErrNoConsumer):
					return fmt.Errorf("%w, then repeat with --force, and with --mongo URI if that is in MongoDB; see worker groups list", err)
				case errors.Is(err, natsbus.ErrGroupRuns) && forceHelps(ctx, c, group):
					return fmt.Errorf("%w, then repeat with --force", err)
				}
				if err != nil {
					return err
				}
				return reportRemoved(cmd, stdout, stderr, group, r, c)
			})
		},
	}
}

// forceHelps reports whether a group that was not removed is removed with --force: it has unsettled
// events, and no requests for more.
func forceHelps(ctx context.Context, c *worker.Connections, group string) bool {
	groups, err := namedGroups(ctx, c, group)
	return err == nil && onlyUnsettled(groups)
}

func onlyUnsettled(groups []natsbus.Group) (unsettled bool) {
	for i := range groups {
		if groups[i].Busy(true) != nil {
			return false
		}
		unsettled = unsettled || groups[i].Busy(false) != nil
	}
	return unsettled
}

func reportRemoved(
	cmd *cli.Command, stdout, stderr io.Writer, group string, r worker.Removed,
	c *worker.Connections,
) error {
	quiet := cmd.Bool("quiet")
	if r == (worker.Removed{}) {
		return fmt.Errorf("there is nothing of a group %q: see worker groups list; %s",
			group, noMarks(c))
	}
	if r.Marks == 0 && !quiet {
		// It is advice: if it cannot be written, the group is removed all the same.
		_, _ = fmt.Fprintln(stderr, noMarks(c))
	}
	if wantsJSON(cmd) {
		return printJSON(stdout, r)
	}
	if quiet {
		return nil
	}
	_, err := fmt.Fprintf(stdout, "%d %s, %d marks and watermarks removed\n",
		r.Consumers, pluralNoun(r.Consumers, "consumer"), r.Marks)
	return err
}

// noMarks says where no marks were found, and where they may be: a group that has run has a
// watermark at least.
func noMarks(c *worker.Connections) string {
	if c.Mongo() == nil {
		return "no marks were found in NATS: if the group's marks are kept in MongoDB, " +
			"repeat with --force and --mongo URI"
	}
	return "no marks were found in " + c.StoreName() + ": if the group's marks are kept " +
		"elsewhere, repeat with the --mongo and --namespace of its workers, or without, for NATS"
}
