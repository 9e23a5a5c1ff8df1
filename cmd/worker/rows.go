package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/outbox"
)

// shownRows is how many rows are listed if nothing else is said.
const shownRows = 100

func listRowsCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list rows: dead ones first, then pending, scheduled and sent ones",
		Description: `Of each status those that were added first come first. On standard error it tells how many rows there are in all.

Examples:
   worker outbox list
   worker outbox list --status dead --topic 'order.>' --from 1d
   worker outbox list --key customer-7 -o json`,
		Flags: append(append(filterFlags("any"), &cli.IntFlag{
			Name: "limit", Value: shownRows, Usage: "how many rows at most", Validator: commandline.Positive,
		}), outboxFlags()...),
		DisableSliceFlagSeparator: true, // ids may have commas
		OnUsageError:              commandline.UsageError,
		Action:                    func(ctx context.Context, cmd *cli.Command) error { return listRows(ctx, cmd, stdout, stderr) },
	}
}

func listRows(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	if err := noArguments(cmd, "name rows by --id"); err != nil {
		return err
	}
	f, err := filterOf(cmd)
	if err != nil {
		return err
	}
	return withOutbox(ctx, cmd, func(name string, a outbox.Admin) error {
		l := rowListing{Outbox: name}
		if l.rows, l.More, err = outbox.ListUrgent(ctx, a, f, cmd.Int("limit")); err != nil {
			return err
		}
		if l.counts, err = a.Count(ctx); err != nil {
			return err
		}
		if wantsJSON(cmd) {
			return printJSON(stdout, l.toJSON(time.Now()))
		}
		if err := l.printTable(stdout, time.Now()); err != nil || cmd.Bool("quiet") {
			return err
		}
		l.printSummary(stderr)
		return nil
	})
}

// rowListing is what is told of an outbox.
type rowListing struct {
	Outbox string
	More   bool // than are shown
	counts outbox.Counts
	rows   []outbox.Row
}

func (l *rowListing) printSummary(w io.Writer) {
	c := l.counts
	_, _ = fmt.Fprintf(w, "%s: %d dead, %d pending", l.Outbox, c.Dead, c.Pending) // nobody else to tell
	if c.Oldest > 0 {
		_, _ = fmt.Fprintf(w, " (the oldest for %v)", c.Oldest.Round(time.Millisecond))
	}
	if c.Scheduled > 0 {
		_, _ = fmt.Fprintf(w, ", %d scheduled", c.Scheduled)
	}
	_, _ = fmt.Fprintf(w, ", %d sent", c.Sent)
	if c.Waiting > 0 {
		_, _ = fmt.Fprintf(w, "; events in %d %s are yet to become rows", c.Waiting, pluralNoun(c.Waiting, "document"))
	}
	_, _ = fmt.Fprintln(w)
	if l.More {
		_, _ = fmt.Fprintf(w, "there are more rows than the %d shown: narrow them down, or raise --limit\n", len(l.rows))
	}
}

func (l *rowListing) printTable(w io.Writer, at time.Time) error {
	if len(l.rows) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "ID\tSTATUS\tTOPIC\tKEY\tADDED\tATTEMPTS\tNOTE") // Flush tells of what fails
	for i := range l.rows {
		r := &l.rows[i]
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", visibleText(r.Event.ID), r.Status, visibleText(r.Event.Topic), visibleText(r.Event.Key),
			r.Added.UTC().Format(time.RFC3339), r.Attempts, rowNote(r, at))
	}
	return t.Flush()
}

// rowNote is what else matters of a row.
func rowNote(r *outbox.Row, at time.Time) string {
	reason := clipText(visibleText(r.Reason), 120)
	switch {
	case r.Status == outbox.Sent:
		return "sent " + r.Sent.UTC().Format(time.RFC3339)
	case r.Status == outbox.Scheduled:
		return "due " + r.At.UTC().Format(time.RFC3339)
	case r.Status == outbox.Pending && r.After > 0:
		return "again " + at.Add(r.After).UTC().Format(time.RFC3339) + ": " + reason
	}
	return reason
}

func clipText(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
