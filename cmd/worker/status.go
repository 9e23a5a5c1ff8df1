package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

func statusCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show what the processes of a group do, and what holds them back", ArgsUsage: "[GROUP]",
		Description: `One line for each subscription, and each outbox, of each process. STATE is running, paused, limited, unavailable (the receiver), unhealthy or draining; WHY is
the reason. RATE is events per second lately, LAG what the whole group has not handled. Processes report every 10 seconds, and at once when they are paused.

Examples:
   worker status billing
   worker status -c worker.yaml -o json`,
		Flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "config", Aliases: []string{"c"}, TakesFile: true, Usage: "`FILE` of a worker, whose group and server are looked at"},
		}, outputFlags()...), config.Flags(natsSections...)...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withStatusConnections(ctx, cmd, stderr, func(c *worker.Connections, name string) error {
				g, err := c.GroupStatus(ctx, name)
				if err != nil {
					return err
				}
				if wantsJSON(cmd) {
					return printJSON(stdout, statusJSON{g.Group, newMembersJSON(g.Members), g.Pauses, g.Now})
				}
				return printStatus(stdout, g)
			})
		},
	}
}

// withStatusConnections connects to the server of the file, or of the flags.
func withStatusConnections(ctx context.Context, cmd *cli.Command, stderr io.Writer, f func(c *worker.Connections, group string) error) error {
	file := cmd.String("config")
	switch {
	case cmd.Args().Len() > 1:
		return commandline.Usagef(cmd, "unexpected argument %q: name one group", cmd.Args().Get(1))
	case file == "" && cmd.Args().Len() == 0:
		return commandline.Usagef(cmd, "name a group, or a file with -c")
	case file == "":
		return withGroups(ctx, cmd, stderr, natsSections, func(c *worker.Connections) error { return f(c, cmd.Args().First()) })
	}
	c, _, err := config.Load(cmd, file)
	if err != nil {
		return err
	}
	if name := cmd.Args().First(); name != "" {
		c.Group = name
	}
	if !cmd.IsSet("log-level") {
		c.Log.Level = "warn"
	}
	return withConnections(ctx, connectOptions(cmd, c, newLogger(c, stderr)), func(connections *worker.Connections) error { return f(connections, c.Group) })
}

// statusJSON is a group as it stands, to programs.
type statusJSON struct {
	Group   string         `json:"group"`
	Members []memberJSON   `json:"members"`
	Pauses  []group.Paused `json:"pauses"`
	Now     time.Time      `json:"now"`
}

func printStatus(stdout io.Writer, g *worker.GroupStatus) error {
	if err := printSubscriptions(stdout, g); err != nil {
		return err
	}
	for i := range g.Pauses {
		if _, err := fmt.Fprintln(stdout, visibleText(worker.DescribePause(&g.Pauses[i]))); err != nil {
			return err
		}
	}
	return nil
}

func printSubscriptions(stdout io.Writer, g *worker.GroupStatus) error {
	if len(g.Members) == 0 {
		return printNoMembers(stdout, g.Group)
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PROCESS\tTOPIC\tSTATE\tRATE\tIN FLIGHT\tLAG\tWHY") // Flush tells of what fails
	for i := range g.Members {
		m := &g.Members[i]
		process := fmt.Sprintf("%s:%d", visibleText(m.Host), m.PID)
		for _, s := range m.Subscriptions {
			topic, lag := s.Topic, "unknown"
			if topic == group.Outbox {
				topic = "(outbox)"
			}
			if s.Lag >= 0 {
				lag = strconv.FormatInt(s.Lag, 10)
			}
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%.1f\t%d\t%s\t%s\n", process, visibleText(topic), visibleText(s.State), s.Rate, s.InFlight, lag, visibleText(s.Why))
		}
		if m.Omitted > 0 {
			_, _ = fmt.Fprintf(t, "%s\tand %d more\n", process, m.Omitted)
		}
	}
	return t.Flush()
}
