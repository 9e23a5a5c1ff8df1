package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker/config"
)

// timeForm is how times are written.
const timeForm = time.RFC3339

// now is told in UTC, as servers have it.
func now() time.Time { return time.Now().UTC() }

func idFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "id", Usage: "the row with this `ID`; may be given several times", HideDefault: true}
}

func topicFlag() cli.Flag {
	return &cli.StringFlag{Name: "topic", Usage: "rows of this `TOPIC` or pattern", HideDefault: true}
}

func keyFlag() cli.Flag {
	return &cli.StringFlag{Name: "key", Usage: "rows of this `KEY`", HideDefault: true}
}

func statusFlag(preset string) cli.Flag {
	return &cli.StringFlag{
		Name: "status", HideDefault: true, Usage: "rows with this `STATUS`: pending, sent or dead (default: " + preset + ")",
		Validator: commandline.OneOf("pending", "sent", "dead"),
	}
}

func fromFlag(event string) cli.Flag {
	return &cli.StringFlag{Name: "from", Usage: "rows " + event + " at or after a `TIME`, such as 2026-01-31T15:04:05Z, or so long ago, such as 2h or 1d", HideDefault: true}
}

func toFlag(event string) cli.Flag {
	return &cli.StringFlag{Name: "to", Usage: "rows " + event + " before a `TIME`, or so long ago", HideDefault: true}
}

// filterFlags select rows.
func filterFlags(preset string) []cli.Flag {
	return []cli.Flag{idFlag(), topicFlag(), keyFlag(), statusFlag(preset), fromFlag("added"), toFlag("added")}
}

// filterOf is what the flags select; flags that the command does not have select nothing.
func filterOf(cmd *cli.Command) (outbox.Filter, error) {
	f := outbox.Filter{IDs: cmd.StringSlice("id"), Topic: cmd.String("topic"), Key: cmd.String("key")}
	for _, s := range []outbox.Status{outbox.Pending, outbox.Sent, outbox.Dead} {
		if s.String() == cmd.String("status") {
			f.Status = s
		}
	}
	if f.Topic != "" {
		if err := bus.ValidPattern(f.Topic); err != nil {
			return f, commandline.Usagef(cmd, "--topic: %w", err)
		}
	}
	var err error
	if f.From, err = instant(cmd.String("from")); err != nil {
		return f, commandline.Usagef(cmd, "--from: %w", err)
	}
	if f.To, err = instant(cmd.String("to")); err != nil {
		return f, commandline.Usagef(cmd, "--to: %w", err)
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return f, commandline.Usagef(cmd, "--from %s is not before --to %s", f.From.Format(timeForm), f.To.Format(timeForm))
	}
	return f, nil
}

// instant is a time, or how long ago. Empty: none.
func instant(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	ago, err := config.ParseDuration(text)
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-01-31T15:04:05Z nor how long ago, such as 30m, 2h or 1d", text)
	}
	return now().Add(-ago), nil
}
