package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/view"
)

func showLetterCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show one dead letter with its event", ArgsUsage: "GROUP ID",
		Description: `ID is that of the event, or of the letter. Data that is no text is shown in hexadecimal, and with -o json in data_base64.

Example:
   worker dlq show billing 17`,
		Flags:        append([]cli.Flag{deadLetterFlag()}, append(outputFlags(), config.Flags(dlqSections...)...)...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withLetters(ctx, cmd, stderr, 2, func(_ *worker.Connections, t *deadletter.Topic) error {
				l, err := findLetter(ctx, cmd, t)
				if err != nil {
					return err
				}
				if wantsJSON(cmd) {
					return printJSON(stdout, view.NewWholeLetter(l))
				}
				return printLetter(stdout, l)
			})
		},
	}
}

// findLetter reads the letter that the arguments name by its own id, or by that of its event.
func findLetter(ctx context.Context, cmd *cli.Command, t *deadletter.Topic) (*deadletter.Letter, error) {
	group, id := cmd.Args().First(), cmd.Args().Get(1)
	l, err := t.Find(ctx, group, id)
	if errors.Is(err, deadletter.ErrAmbiguous) {
		err = fmt.Errorf("%w; worker dlq list %s --id %s -o json has all of them", err, visibleText(group), visibleText(id))
	}
	return l, err
}

// printLetter writes a letter for people.
func printLetter(w io.Writer, l *deadletter.Letter) error {
	e := &l.Event
	fields := [][2]string{
		{"letter", l.ID},
		{"position", l.Position.String()},
		{"edited", l.Edited},
		{"superseded by", l.SupersededBy},
		{"group", l.Group},
		{"reason", l.Reason},
		{"error", l.Error},
		{"attempts", strconv.Itoa(l.Attempts)},
		{"crashes", strconv.Itoa(l.Crashes)},
		{"claimed", view.FormatTime(l.Claimed)},
		{"died", view.FormatTime(l.Died)},
	}
	for i := range l.History {
		fields = append(fields, [2]string{"attempt " + strconv.Itoa(l.History[i].Number), describeAttempt(&l.History[i])})
	}
	fields = append(fields, [][2]string{
		{"id", e.ID},
		{"topic", e.Topic},
		{"key", e.Key},
		{"type", e.Type},
		{"source", e.Source},
		{"time", view.FormatTime(e.Time)},
		{"content type", e.ContentType},
		{"stored at", l.At.String()},
	}...)
	if err := printFields(w, fields, e.Headers); err != nil {
		return err
	}
	if l.Stack != "" {
		if _, err := fmt.Fprintf(w, "stack:\n%s", shownData([]byte(l.Stack), isTerminal(w))); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%-14s %d bytes\n%s", "data:", len(e.Data), shownData(e.Data, isTerminal(w)))
	return err
}
