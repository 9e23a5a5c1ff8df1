package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

func membersCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "members", Usage: "list the processes of a group", ArgsUsage: "GROUP",
		Description: `A process that has drained is gone at once, one that died within 30 seconds. STATE is joining, running or draining; what its subscriptions do is
shown by worker status. PARTITIONS are those that it owns, of each topic. RENEWED is how long ago it was last heard of. The second table has the
partitions of each topic: OWNER has had one SINCE then, and hands it over to NEXT. A topic with order exclusive has one partition.

Example:
   worker members billing -o json | jq -r '.members[].host'`,
		Flags:        append(outputFlags(), config.Flags(natsSections...)...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return commandline.Usagef(cmd, "name one group")
			}
			return withGroups(ctx, cmd, stderr, natsSections, func(c *worker.Connections) error {
				g, err := c.GroupStatus(ctx, cmd.Args().First())
				if err != nil {
					return err
				}
				if wantsJSON(cmd) {
					return printJSON(stdout, struct {
						Group   string       `json:"group"`
						Members []memberJSON `json:"members"`
						Plans   []group.Plan `json:"plans"`
					}{g.Group, newMembersJSON(g.Members), g.Plans})
				}
				if err := printMembers(stdout, g); err != nil {
					return err
				}
				return printPlans(stdout, g)
			})
		},
	}
}

// memberJSON is a member, to programs.
type memberJSON struct {
	group.Member

	Renewed time.Time `json:"renewed"`
}

func newMembersJSON(members []group.Member) []memberJSON {
	out := make([]memberJSON, len(members))
	for i, m := range members {
		out[i] = memberJSON{m, m.Renewed}
	}
	return out
}

func printNoMembers(stdout io.Writer, name string) error {
	_, err := fmt.Fprintf(stdout, "no process of group %s runs\n", visibleText(name))
	return err
}

func printMembers(stdout io.Writer, g *worker.GroupStatus) error {
	if len(g.Members) == 0 {
		return printNoMembers(stdout, g.Group)
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "ID\tHOST\tPID\tVERSION\tSTARTED\tSTATE\tIN FLIGHT\tPARTITIONS\tRENEWED") // Flush tells of what fails
	for i := range g.Members {
		m := &g.Members[i]
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%d\t%s\t%s\n", visibleText(m.ID), visibleText(m.Host), m.PID, visibleText(m.Version),
			m.Started.UTC().Format(time.RFC3339), visibleText(m.State), inFlight(m), visibleText(ownedPartitions(m)), g.Now.Sub(m.Renewed).Round(time.Second))
	}
	return t.Flush()
}
