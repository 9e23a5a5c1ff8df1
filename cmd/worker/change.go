package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/outbox"
)

// yesFlag says that nobody is to be asked. unless is when nobody is asked anyway.
func yesFlag(unless string) cli.Flag {
	return &cli.BoolFlag{
		Name: "yes", Aliases: []string{"y"}, HideDefault: true,
		Usage: "do not ask; needed where nobody can be asked" + unless,
	}
}

// rowChange is a command that changes the rows it selects.
type rowChange struct {
	verb, done, usage, description string
	do                             func(outbox.Admin, context.Context, outbox.Filter) (int, error)
}

func retryChange() *rowChange {
	return &rowChange{
		verb: "retry", done: "made pending", usage: "have rows published that are dead, or wait for their next try",
		description: `It makes dead rows pending, due at once and with no attempts; with --status pending those that wait after a refusal. Mend first what the reason
says. Rows that were sent are for republish.

Examples:
   worker outbox retry --id 019c1b1e-7f2b-7c55-9d3e-2f0a4c1b8e11
   worker outbox retry --topic order.placed --from 1d --yes`,
		do: outbox.Admin.Retry,
	}
}

func dropChange() *rowChange {
	return &rowChange{
		verb: "drop", done: "removed", usage: "remove rows for good",
		description: `It removes dead rows, unless --status says otherwise. An event of a row that is pending may have been published. The rows of a key behind a
dead one go on when it is gone.

Examples:
   worker outbox drop --id 019c1b1e-7f2b-7c55-9d3e-2f0a4c1b8e11
   worker outbox drop --topic 'debug.>' --status dead --yes`,
		do: outbox.Admin.Drop,
	}
}

func changeCommand(stdin io.Reader, stdout, stderr io.Writer, k *rowChange) *cli.Command {
	flags := append(filterFlags("dead"), yesFlag(", unless all rows are named by --id"))
	return &cli.Command{
		Name: k.verb, Usage: k.usage, Description: k.description,
		Flags:                     append(flags, outboxFlags()...),
		DisableSliceFlagSeparator: true, // ids may have commas
		OnUsageError:              commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd, "name rows by --id"); err != nil {
				return err
			}
			f, err := filterOf(cmd)
			switch {
			case err != nil:
				return err
			case f.Empty():
				return commandline.Usagef(cmd, "which rows? Name --id, --topic, --key, --from or --to; --topic '>' is all")
			case f.Status == outbox.Sent && k.verb == "retry":
				return commandline.Usagef(cmd, "rows that were sent are published again by worker outbox republish")
			case f.Status == outbox.Scheduled && k.verb == "retry":
				return commandline.Usagef(cmd, "rows that are scheduled are published when they are due; worker scheduled list shows when")
			}
			c := &confirmedChange{
				cmd: cmd, stdin: stdin, stdout: stdout, stderr: stderr, verb: k.verb, done: k.done, sure: len(f.IDs) > 0,
				do: func(ctx context.Context, a outbox.Admin) (int, error) { return k.do(a, ctx, f) },
			}
			return c.runConfirmed(ctx, describeFilter(&f))
		},
	}
}

// describeFilter is what a filter selects, in words.
func describeFilter(f *outbox.Filter) string {
	status := outbox.Dead
	if f.Status != 0 {
		status = f.Status
	}
	words := []string{"all rows that are", status.String()}
	for _, w := range []struct{ text, value string }{{"with topic", f.Topic}, {"with key", f.Key}} {
		if w.value != "" {
			words = append(words, w.text, visibleText(w.value))
		}
	}
	if !f.From.IsZero() {
		words = append(words, "added from", formatMoment(f.From))
	}
	if !f.To.IsZero() {
		words = append(words, "added before", formatMoment(f.To))
	}
	return strings.Join(words, " ")
}

// confirmedChange is one that is asked for.
type confirmedChange struct {
	cmd            *cli.Command
	stdin          io.Reader
	stdout, stderr io.Writer
	verb, done     string
	sure           bool // all rows are named
	do             func(context.Context, outbox.Admin) (int, error)
}

// errNotWanted is returned when who was asked did not say yes.
var errNotWanted = errors.New("nothing was changed")

func (c *confirmedChange) runConfirmed(ctx context.Context, what string) error {
	if err := c.checkCanAsk(what); err != nil {
		return err
	}
	return withOutbox(ctx, c.cmd, func(name string, a outbox.Admin) error {
		if err := c.confirmChange(name, what); err != nil {
			return err
		}
		n, err := c.do(ctx, a)
		if err != nil {
			return err
		}
		return c.reportChanged(name, n)
	})
}

func (c *confirmedChange) mustAsk() bool { return !c.sure && !c.cmd.Bool("yes") }

// checkCanAsk refuses a change that is to be confirmed where no person reads, and writes.
func (c *confirmedChange) checkCanAsk(what string) error {
	in, ok := c.stdin.(*os.File)
	canAsk := ok && term.IsTerminal(int(in.Fd())) && isTerminal(c.stderr)
	if c.mustAsk() && !canAsk {
		return commandline.Usagef(c.cmd, "%s %s: add --yes, for there is nobody to be asked", c.verb, what)
	}
	return nil
}

// confirmChange returns errNotWanted unless the change is wanted.
func (c *confirmedChange) confirmChange(name, what string) error {
	if !c.mustAsk() {
		return nil
	}
	_, _ = fmt.Fprintf(c.stderr, "%s %s, in %s? [y/N] ", c.verb, what, name) // who does not see it says no
	answer, _ := bufio.NewReader(c.stdin).ReadString('\n')                   // nothing is no
	if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		return errNotWanted
	}
	return nil
}

func (c *confirmedChange) reportChanged(name string, n int) error {
	if wantsJSON(c.cmd) {
		return printJSON(c.stdout, struct {
			Outbox string `json:"outbox"`
			Rows   int    `json:"rows"`
		}{name, n})
	}
	if c.cmd.Bool("quiet") {
		return nil
	}
	_, err := fmt.Fprintf(c.stdout, "%d %s %s\n", n, pluralNoun(n, "row"), c.done)
	return err
}
