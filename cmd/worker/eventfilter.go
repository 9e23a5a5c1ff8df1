package main

import (
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/replay"
)

// rangeFlags say what of a topic is read.
func rangeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "from", Usage: "begin at the first event that was stored at this `TIME`, or so long ago, or later"},
		&cli.StringFlag{Name: "after", Usage: "begin after this `POSITION`, which an earlier run has named"},
		&cli.StringFlag{Name: "after-id", Usage: "begin after the first event with this `ID`, which is looked for from the earliest on"},
		&cli.StringFlag{Name: "to", Usage: "end before the first event that was stored at this `TIME`, or so long ago, or later"},
	}
}

// eventFlags select events. The command must not separate values at commas.
func eventFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "id", Usage: "the event with this `ID`; may be given several times", HideDefault: true},
		&cli.StringFlag{Name: "topic", Usage: "events of this `TOPIC` or pattern, where the argument is a pattern", HideDefault: true},
		&cli.StringFlag{Name: "type", Usage: "events of this `TYPE`", HideDefault: true},
		&cli.StringFlag{Name: "key", Usage: "events of this `KEY`", HideDefault: true},
		&cli.StringFlag{Name: "source", Usage: "events of this `SOURCE`", HideDefault: true},
		&cli.StringSliceFlag{Name: "header", Usage: "events with this header, `NAME=VALUE`; may be given several times", HideDefault: true},
		&cli.StringFlag{Name: "data", Usage: "events with this `TEXT` in their data", HideDefault: true},
	}
}

// eventFilter is what the flags select.
func eventFilter(cmd *cli.Command) (replay.Filter, error) {
	f := replay.Filter{
		Topic: cmd.String("topic"), IDs: cmd.StringSlice("id"), Type: cmd.String("type"), Key: cmd.String("key"),
		Source: cmd.String("source"), Data: cmd.String("data"), Headers: bus.Headers{},
	}
	if f.Topic != "" {
		if err := bus.ValidPattern(f.Topic); err != nil {
			return f, commandline.Usagef(cmd, "--topic: %w", err)
		}
	}
	for _, header := range cmd.StringSlice("header") {
		name, value, ok := strings.Cut(header, "=")
		if !ok || name == "" {
			return f, commandline.Usagef(cmd, "--header %q: it must be NAME=VALUE", header)
		}
		f.Headers[name] = append(f.Headers[name], value)
	}
	return f, nil
}

// describeEvents is what a filter selects of a topic, in words.
func describeEvents(topic string, f *replay.Filter) string {
	words := []string{"events of", visibleText(topic)}
	for _, w := range []struct{ text, value string }{
		{"with id", strings.Join(f.IDs, ", ")},
		{"with topic", f.Topic},
		{"with type", f.Type},
		{"with key", f.Key},
		{"with source", f.Source},
		{"with data", f.Data},
	} {
		if w.value != "" {
			words = append(words, w.text, visibleText(w.value))
		}
	}
	for name, values := range f.Headers {
		for _, value := range values {
			words = append(words, "with header", visibleText(name+"="+value))
		}
	}
	return strings.Join(words, " ")
}
