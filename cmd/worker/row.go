package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker/view"
)

func showRowCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show one row with its data",
		ArgsUsage: "ID",
		Description: `Data that is no text is shown in hexadecimal, and with -o json in data_base64. An id that is on several topics is several rows.

Examples:
   worker outbox show 019c1b1e-7f2b-7c55-9d3e-2f0a4c1b8e11
   worker outbox show --topic order.placed 17`,
		Flags:        append([]cli.Flag{topicFlag()}, outboxFlags()...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return commandline.Usagef(cmd, "%d arguments: name the id of one row", cmd.Args().Len())
			}
			f, err := filterOf(cmd)
			if err != nil {
				return err
			}
			f.IDs = cmd.Args().Slice()
			return withOutbox(ctx, cmd, func(name string, a outbox.Admin) error {
				rows, err := a.List(ctx, f, 2)
				switch {
				case err != nil:
					return err
				case len(rows) == 0:
					return fmt.Errorf("%s has no row %q: it was never added, or was sent and removed since", name, f.IDs[0])
				case len(rows) > 1:
					return fmt.Errorf("%s has more than one row %q: add --topic, such as %s or %s; worker outbox list --id has all of them",
						name, f.IDs[0], visibleText(rows[0].Event.Topic), visibleText(rows[1].Event.Topic))
				case wantsJSON(cmd):
					return printJSON(stdout, view.NewWholeRow(&rows[0], time.Now()))
				}
				return showRow(stdout, &rows[0], time.Now())
			})
		},
	}
}

// showRow writes a row for people.
func showRow(w io.Writer, r *outbox.Row, at time.Time) error {
	e := &r.Event
	fields := [][2]string{
		{"id", e.ID},
		{"status", r.Status.String()},
		{"topic", e.Topic},
		{"key", e.Key},
		{"type", e.Type},
		{"source", e.Source},
		{"time", view.FormatTime(e.Time)},
		{"content type", e.ContentType},
		{"added", view.FormatTime(r.Added)},
		{"due", view.FormatTime(r.At)},
		{"sent", view.FormatTime(r.Sent)},
		{"sequence", strconv.FormatUint(r.Seq, 10)},
		{"attempts", strconv.Itoa(r.Attempts)},
		{"reason", r.Reason},
	}
	if r.After > 0 && r.Status == outbox.Pending {
		fields = append(fields, [2]string{"again", view.FormatTime(at.Add(r.After))})
	}
	if err := printFields(w, fields, e.Headers); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%-14s %d bytes\n%s", "data:", len(e.Data), shownData(e.Data, isTerminal(w)))
	return err
}

// printFields prints fields that are not empty, and headers, one to a line.
func printFields(w io.Writer, fields [][2]string, headers bus.Headers) error {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		for _, v := range headers[name] {
			fields = append(fields, [2]string{"header " + name, v})
		}
	}
	for _, f := range fields {
		if f[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-14s %s\n", visibleText(f[0])+":", visibleText(f[1])); err != nil {
			return err
		}
	}
	return nil
}

// shownData is data as it is, if that is text; a terminal gets no text with characters that
// it would obey.
func shownData(data []byte, careful bool) string {
	if len(data) == 0 {
		return ""
	}
	beyondLines := func(r rune) bool { return r != '\n' && r != '\t' && isTerminalControl(r) }
	if !utf8.Valid(data) || careful && bytes.ContainsFunc(data, beyondLines) {
		return "\n" + hex.Dump(data)
	}
	return "\n" + string(data) + "\n"
}

// formatMillis is a time in UTC of a fixed width. Zero: nothing.
func formatMillis(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
