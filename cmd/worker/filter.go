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

func topicFlag() cli.Flag {
	return &cli.StringFlag{Name: "topic", Usage: "rows of this `TOPIC` or pattern", HideDefault: true}
}

// periodFlags select rows by when something happened to them.
func periodFlags(event string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "from", Usage: "rows " + event + " at or after a `TIME`, such as 2026-01-31T15:04:05Z, or so long ago, such as 2h or 1d", HideDefault: true},
		&cli.StringFlag{Name: "to", Usage: "rows " + event + " before a `TIME`, or so long ago", HideDefault: true},
	}
}

// filterFlags select rows.
func filterFlags(preset string) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringSliceFlag{Name: "id", Usage: "the row with this `ID`; may be given several times", HideDefault: true},
		topicFlag(),
		&cli.StringFlag{Name: "key", Usage: "rows of this `KEY`", HideDefault: true},
		&cli.StringFlag{
			Name: "status", HideDefault: true, Usage: "rows with this `STATUS`: pending, scheduled, sent or dead (default: " + preset + ")",
			Validator: commandline.OneOf("pending", "scheduled", "sent", "dead"),
		},
	}, periodFlags("added")...)
}

// filterOf is what the flags select; flags that the command does not have select nothing.
func filterOf(cmd *cli.Command) (outbox.Filter, error) {
	f := outbox.Filter{IDs: cmd.StringSlice("id"), Topic: cmd.String("topic"), Key: cmd.String("key"), Status: outbox.ParseStatus(cmd.String("status"))}
	if f.Topic != "" {
		if err := bus.ValidPattern(f.Topic); err != nil {
			return f, commandline.Usagef(cmd, "--topic: %w", err)
		}
	}
	var err error
	if f.From, err = parseMoment(cmd.String("from")); err != nil {
		return f, commandline.Usagef(cmd, "--from: %w", err)
	}
	if f.To, err = parseMoment(cmd.String("to")); err != nil {
		return f, commandline.Usagef(cmd, "--to: %w", err)
	}
	if isEmptyRange(f.From, f.To) {
		return f, commandline.Usagef(cmd, "--from %s is not before --to %s", formatMoment(f.From), formatMoment(f.To))
	}
	return f, nil
}

// isEmptyRange reports whether there is no time from one moment to another, as far as that can be
// known: only the server knows how long ago a time was.
func isEmptyRange(from, to outbox.Moment) bool {
	switch {
	case from.IsZero() || to.IsZero():
		return false
	case from.Ago > 0 && to.Ago > 0:
		return from.Ago <= to.Ago
	}
	return from.Ago == 0 && to.Ago == 0 && !from.Time.Before(to.Time)
}

// parseMoment is a time, or how long ago, which the server is to reckon. Empty: none.
func parseMoment(text string) (outbox.Moment, error) {
	if text == "" {
		return outbox.Moment{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return outbox.Moment{Time: at.UTC()}, nil
	}
	ago, err := config.ParseDuration(text)
	if err != nil || ago <= 0 {
		return outbox.Moment{}, fmt.Errorf("%q is neither a time such as 2026-01-31T15:04:05Z nor how long ago, such as 30m, 2h or 1d", text)
	}
	return outbox.Moment{Ago: ago}, nil
}

// formatMoment is a moment in words.
func formatMoment(m outbox.Moment) string {
	if m.Ago > 0 {
		return m.Ago.String() + " ago"
	}
	return m.Time.Format(time.RFC3339)
}
