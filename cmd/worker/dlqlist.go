package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/view"
)

func listLettersCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list dead letters, the oldest first", ArgsUsage: "GROUP",
		Description: `When there are more than --limit, it says with which --after the next page begins: pages neither skip nor repeat a letter, also when letters are
stored or redriven meanwhile. With --group-by error it counts all letters by the first line of their errors.

Examples:
   worker dlq list billing --group-by error
   worker dlq list billing --since 2h --topic 'order.>'
   worker dlq list billing --data customer-7 -o json`,
		Flags: append(append(letterFlags(),
			&cli.IntFlag{Name: "limit", Value: shownRows, Usage: "how many letters at most", Validator: commandline.Positive},
			&cli.StringFlag{Name: "after", Usage: "begin after this `POSITION`, which an earlier list has named", HideDefault: true},
			&cli.StringFlag{Name: "group-by", Usage: "count letters by `WHAT`: error", HideDefault: true, Validator: commandline.OneOf("error")},
		), append(outputFlags(), config.Flags(dlqSections...)...)...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			f, err := letterFilter(cmd, time.Now())
			if err != nil {
				return err
			}
			after, err := bus.ParsePosition(cmd.String("after"))
			if err != nil {
				return commandline.Usagef(cmd, "--after: %w", err)
			}
			return withLetters(ctx, cmd, stderr, 1, func(_ *worker.Connections, t *deadletter.Topic) error {
				if cmd.String("group-by") != "" {
					return listCauses(ctx, cmd, t, f, stdout, stderr)
				}
				return listLetters(ctx, cmd, t, f, after, stdout, stderr)
			})
		},
	}
}

func listLetters(ctx context.Context, cmd *cli.Command, t *deadletter.Topic, f deadletter.Filter, after bus.Position, stdout, stderr io.Writer) error {
	p, err := t.Page(ctx, f, after, cmd.Int("limit"))
	if err != nil {
		return err
	}
	if err := t.FindEdits(ctx, p.Letters); err != nil {
		return err
	}
	if wantsJSON(cmd) {
		return printJSON(stdout, struct {
			Topic   string        `json:"topic"`
			Letters []view.Letter `json:"letters"`
			Next    string        `json:"next,omitempty"`
			Skipped int           `json:"skipped"`
		}{letterTopic(cmd), view.NewLetters(p.Letters), p.Next.String(), p.Skipped})
	}
	if err := printLetters(stdout, p.Letters); err != nil || cmd.Bool("quiet") {
		return err
	}
	reportSkipped(stderr, p.Skipped)
	if p.Next.Sequence > 0 {
		_, _ = fmt.Fprintf(stderr, "there are more letters than the %d shown: go on with --after '%s'\n", len(p.Letters), p.Next) // nobody else to tell
	}
	return nil
}

func printLetters(w io.Writer, letters []deadletter.Letter) error {
	if len(letters) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "ID\tTOPIC\tTYPE\tDIED\tATTEMPTS\tCRASHES\tERROR") // Flush tells of what fails
	for i := range letters {
		l := &letters[i]
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", visibleText(cmp.Or(l.Event.ID, l.ID)), visibleText(l.Event.Topic), visibleText(l.Event.Type),
			l.Died.UTC().Format(time.RFC3339), l.Attempts, l.Crashes, clipText(visibleText(errorText(l)), 120))
	}
	return t.Flush()
}

// errorText is why the event was given up, and what became of the letter since.
func errorText(l *deadletter.Letter) string {
	text := cmp.Or(l.Error, l.Reason)
	switch {
	case l.SupersededBy != "":
		return "superseded by " + l.SupersededBy + ": " + text
	case l.Edited != "":
		return "edited, " + l.ID + ": " + text
	}
	return text
}

// reportSkipped says how much on the topic is no letter.
func reportSkipped(stderr io.Writer, n int) {
	if n > 0 {
		_, _ = fmt.Fprintf(stderr, "%d %s on the topic are no dead letters, or have lost a part\n", n, pluralNoun(n, "event")) // nobody else to tell
	}
}

func listCauses(ctx context.Context, cmd *cli.Command, t *deadletter.Topic, f deadletter.Filter, stdout, stderr io.Writer) error {
	causes, skipped, err := t.CountByError(ctx, f)
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		return printJSON(stdout, struct {
			Topic   string       `json:"topic"`
			Errors  []view.Cause `json:"errors"`
			Skipped int          `json:"skipped"`
		}{letterTopic(cmd), view.NewCauses(causes), skipped})
	}
	if len(causes) > 0 {
		w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "LETTERS\tFIRST\tLAST\tERROR") // Flush tells of what fails
		for i := range causes {
			c := &causes[i]
			_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", c.Letters, c.First.UTC().Format(time.RFC3339), c.Last.UTC().Format(time.RFC3339), clipText(visibleText(c.Error), 120))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if !cmd.Bool("quiet") {
		reportSkipped(stderr, skipped)
	}
	return nil
}
