package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/view"
)

// dlqSections are what looking after dead letters takes of a worker's configuration.
var dlqSections = append([]config.Section{config.SectionMongo}, natsSections...)

func dlqCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "dlq",
		Usage: "look after dead letters: events that a group has given up",
		Description: `A dead letter has the whole event, and the reason. It stays on the topic dead.GROUP until it is redriven or dropped.

Examples:
   worker dlq list billing --group-by error
   worker dlq list billing --since 1d --error timeout -o json | jq -r '.letters[].id'
   worker dlq show billing 17
   worker dlq edit billing 17
   worker dlq redrive billing --error timeout --rps 20 --mongo mongodb://localhost:27017/shop
   worker dlq drop billing --type order.test --yes

Exit status: 0 done, 1 failed, or not asked for after all, 2 wrong usage.`,
		Commands: []*cli.Command{
			listLettersCommand(stdout, stderr), showLetterCommand(stdout, stderr), editLetterCommand(stdin, stdout, stderr),
			redriveCommand(stdin, stdout, stderr), dropLettersCommand(stdin, stdout, stderr), helpCommand(stdout, "dlq"),
		},
		OnUsageError: commandline.UsageError,
		Action:       showHelp,
	}
}

func deadLetterFlag() cli.Flag {
	return &cli.StringFlag{Name: "dead-letter", Usage: "`TOPIC` of the letters (default: dead.GROUP)", HideDefault: true}
}

// letterFlags select letters. Each may be given once: a second one would replace the first unseen.
func letterFlags() []cli.Flag {
	flag := func(name, usage string) cli.Flag {
		return &cli.StringFlag{Name: name, Usage: usage, HideDefault: true, OnlyOnce: true}
	}
	return []cli.Flag{
		deadLetterFlag(),
		flag("id", "the letter with this `ID`, or letters of the event with this ID"),
		flag("topic", "letters of events of this `TOPIC` or pattern"),
		flag("type", "letters of events of this `TYPE`"),
		flag("error", "letters with this `TEXT` in their error"),
		flag("reason", "letters with this `TEXT` in their reason"),
		flag("data", "letters of events with this `TEXT` in their data"),
		flag("since", "letters stored at or after a `TIME`, such as 2026-01-31T15:04:05Z, or so long ago, such as 2h or 1d"),
		flag("until", "letters stored before a `TIME`, or so long ago"),
	}
}

// letterFilter is what the flags select.
func letterFilter(cmd *cli.Command, now time.Time) (f deadletter.Filter, err error) {
	f = deadletter.Filter{
		Group: cmd.Args().First(), ID: cmd.String("id"), Topic: cmd.String("topic"), Type: cmd.String("type"),
		Error: cmd.String("error"), Reason: cmd.String("reason"), Data: cmd.String("data"),
	}
	if f.Topic != "" {
		if err := bus.ValidPattern(f.Topic); err != nil {
			return f, commandline.Usagef(cmd, "--topic: %w", err)
		}
	}
	for name, at := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		moment, err := parseMoment(cmd.String(name))
		if err != nil {
			return f, commandline.Usagef(cmd, "--%s: %w", name, err)
		}
		if *at = moment.Time; moment.Ago > 0 {
			*at = now.Add(-moment.Ago)
		}
	}
	if !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return f, commandline.Usagef(cmd, "--since is not before --until")
	}
	return f, nil
}

// describeLetters is what a filter selects, in words.
func describeLetters(f *deadletter.Filter) string {
	words := []string{"all letters of the group", visibleText(f.Group)}
	for _, w := range []struct{ text, value string }{
		{"with id", f.ID},
		{"with topic", f.Topic},
		{"with type", f.Type},
		{"with error", f.Error},
		{"with reason", f.Reason},
		{"with data", f.Data},
		{"since", view.FormatTime(f.Since)},
		{"until", view.FormatTime(f.Until)},
	} {
		if w.value != "" {
			words = append(words, w.text, visibleText(w.value))
		}
	}
	return strings.Join(words, " ")
}

// letterTopic is the topic that the arguments and flags name.
func letterTopic(cmd *cli.Command) string {
	return cmp.Or(cmd.String("dead-letter"), "dead."+cmd.Args().First())
}

// withLetters calls f with the dead-letter topic of the group that the first of so many arguments
// names.
func withLetters(
	ctx context.Context, cmd *cli.Command, stderr io.Writer, arguments int,
	f func(c *worker.Connections, t *deadletter.Topic) error,
) error {
	switch n := cmd.Args().Len(); {
	case n != arguments && arguments == 1:
		return commandline.Usagef(cmd, "%d arguments: name one group", n)
	case n != arguments:
		return commandline.Usagef(cmd, "%d arguments: name a group, and the id of an event or a letter", n)
	}
	if err := bus.ValidTopic(letterTopic(cmd)); err != nil {
		return commandline.Usagef(cmd, "%w", err)
	}
	return withGroups(ctx, cmd, stderr, dlqSections, func(c *worker.Connections) error {
		t, err := c.DeadLetters(cmd.Args().First(), cmd.String("dead-letter"))
		if err != nil {
			return err
		}
		err = f(c, t)
		if errors.Is(err, bus.ErrNoStream) {
			err = fmt.Errorf("there is no %s: the group has given nothing up yet, its letters are on another topic (--dead-letter), or its name is another one (worker groups list): %w", letterTopic(cmd), err)
		}
		return err
	})
}
