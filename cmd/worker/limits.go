package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/view"
)

func limitsCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "limits", Usage: "show what is used of the rates that a group shares", ArgsUsage: "GROUP [TOPIC]",
		Description: `One line for each topic with a rate of shared: true, and each key that has a limit of its own, as the store of limits counts them: in MongoDB with
--mongo, else in the bucket of NATS. USED counts what processes have reserved. RESET is when nothing will be used, if nothing starts until
then. A limit for which nothing has started lately is not shown.

Examples:
   worker limits billing --mongo mongodb://localhost:27017/shop
   worker limits billing order.placed -o json | jq '.limits[].keys[] | select(.remaining == 0)'`,
		Flags: slices.Concat([]cli.Flag{
			&cli.IntFlag{Name: "limit", Value: flow.MaxUsagePage, Usage: fmt.Sprintf("how many keys at most, up to %d", flow.MaxUsagePage), Validator: commandline.Positive},
			&cli.StringFlag{Name: "after", Usage: "begin after this `POSITION`, which an earlier list has named", HideDefault: true},
		}, outputFlags(), config.Flags(dlqSections...)),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return showLimits(ctx, cmd, stdout, stderr) },
	}
}

func showLimits(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	if n := cmd.Args().Len(); n < 1 || n > 2 {
		return commandline.Usagef(cmd, "%d arguments: name a group, and one of its topics or none for all", n)
	}
	name := cmd.Args().First()
	q := worker.SharedLimitQuery{Topic: cmd.Args().Get(1), After: cmd.String("after"), Most: cmd.Int("limit")}
	return withGroups(ctx, cmd, stderr, dlqSections, func(c *worker.Connections) error {
		page, err := c.SharedLimits(ctx, name, q)
		if err != nil {
			return err
		}
		limits := view.NewSharedLimits(page.Limits)
		if wantsJSON(cmd) {
			return printJSON(stdout, struct {
				Group  string             `json:"group"`
				Limits []view.SharedLimit `json:"limits"`
				Next   string             `json:"next,omitempty"`
			}{name, limits, page.Next})
		}
		if err := printLimits(stdout, name, limits); err != nil {
			return err
		}
		if page.Next != "" {
			_, _ = fmt.Fprintf(stderr, "there may be more keys: go on with --after %s\n", page.Next) // nobody else to tell
		}
		return nil
	})
}

func printLimits(stdout io.Writer, name string, limits []view.SharedLimit) error {
	if len(limits) == 0 {
		_, err := fmt.Fprintf(stdout, "nothing has started lately under a rate that group %s shares\n", visibleText(name))
		return err
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "TOPIC\tKEY\tRATE\tSTRATEGY\tUSED\tREMAINING\tRESET\tMEMBERS") // Flush tells of what fails
	for i := range limits {
		l := &limits[i]
		for j := range l.Keys {
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%d\n", visibleText(l.Topic), visibleText(nameLimitKey(&l.Keys[j])), describeLimitKey(&l.Keys[j]), l.Members)
		}
	}
	return t.Flush()
}

// nameLimitKey is what has the limit, for people.
func nameLimitKey(k *view.LimitKey) string {
	switch {
	case k.Overflow:
		return "(all keys beyond max_keys)"
	case k.KeySHA256 != "":
		return "sha256:" + k.KeySHA256
	}
	return cmp.Or(clipText(k.Key, 64), "(none)")
}

// describeLimitKey is the columns from RATE to RESET.
func describeLimitKey(k *view.LimitKey) string {
	if k.Error != "" {
		return visibleText(k.Error) + "\t\t\t\t"
	}
	reset := "now"
	if at, err := time.Parse(time.RFC3339, cmp.Or(k.ClosedUntil, k.ResetAt)); err == nil {
		reset = at.Format(time.RFC3339)
	}
	if k.ClosedUntil != "" {
		reset = "closed until " + reset
	}
	per := time.Duration(k.PerSeconds * float64(time.Second))
	return fmt.Sprintf("%d per %v\t%s\t%d\t%d\t%s", k.Limit, per, k.Strategy, k.Used, k.Remaining, reset)
}
