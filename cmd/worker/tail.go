package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/cloudevents"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/replay"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

func tailCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "tail", Usage: "print the events of a topic as they are stored", ArgsUsage: "TOPIC",
		Description: `One line for each event: when it was stored, its topic, id, key, type and size, and the beginning of its data. With -o json each line is one of
worker export. No group notices it. TOPIC may be a pattern, such as 'order.>', that lies in one stream. A topic is read with its partitions.

It begins after the last event that is stored, unless --from or --after say otherwise, and does not end by itself without -n. What
the stream dropped before it was read is reported on standard error.

Examples:
   worker tail order.placed
   worker tail --from 1h -n 100 'order.>'
   worker tail --key ada --header Tenant=a 'order.>'
   worker tail -o json order.placed | jq -r .id

Exit status: 0 when it was interrupted, or has printed -n events, 1 failed, 2 wrong usage.`,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "begin at the first event that was stored at this `TIME`, or so long ago, or later"},
			&cli.StringFlag{Name: "after", Usage: "begin after this `POSITION`, as worker export names it"},
			&cli.IntFlag{Name: "number", Aliases: []string{"n"}, HideDefault: true, Usage: "end after `N` events", Validator: commandline.Positive},
			&cli.BoolFlag{Name: "headers", HideDefault: true, Usage: "print headers as well, each on a line of its own"},
		}, eventFlags(), outputFlags(), config.Flags(natsSections...)),
		DisableSliceFlagSeparator: true, // ids and headers may have commas
		OnUsageError:              commandline.UsageError,
		Action:                    func(ctx context.Context, cmd *cli.Command) error { return tailTopic(ctx, cmd, stdout, stderr) },
	}
}

func tailTopic(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	if n := cmd.Args().Len(); n != 1 {
		return commandline.Usagef(cmd, "%d arguments: name a topic", n)
	}
	topic := cmd.Args().First()
	if err := bus.ValidPattern(topic); err != nil {
		return commandline.Usagef(cmd, "%w", err)
	}
	r, err := readRange(cmd, time.Now())
	if err != nil {
		return commandline.Usagef(cmd, "%w", err)
	}
	filter, err := eventFilter(cmd)
	if err != nil {
		return err
	}
	r.Until.Follow = true
	ctx, _, release := worker.Signals(ctx, slog.New(slog.DiscardHandler))
	defer release()
	return withGroups(ctx, cmd, stderr, natsSections, func(c *worker.Connections) error {
		reader, ok := c.Bus().(bus.Reader)
		if !ok {
			return fmt.Errorf("the bus at %s cannot be read again: %w", c.BusName(), errors.ErrUnsupported)
		}
		if r.From == (bus.From{}) {
			if r.From.After, err = lastPosition(ctx, c.Bus(), reader, topic); err != nil {
				return err
			}
		}
		t := &tail{stdout: stdout, stderr: stderr, filter: filter, json: wantsJSON(cmd), headers: cmd.Bool("headers"), left: cmd.Int("number")}
		err := t.follow(reader.Read(ctx, topic, r))
		if errors.Is(err, worker.ErrSignal) {
			return nil // Nothing else ends it.
		}
		return err
	})
}

// lastPosition is that of the last event of a topic's stream. It reads from a time to come first,
// for that makes no stream where there is none.
func lastPosition(ctx context.Context, b bus.Bus, reader bus.Reader, topic string) (bus.Position, error) {
	for _, err := range reader.Read(ctx, topic, bus.Range{From: bus.From{Time: time.Now().Add(time.Hour)}, Partitions: true, HeadersOnly: true}) {
		if err != nil {
			return bus.Position{}, err
		}
	}
	info, err := bus.FindTopic(ctx, b, topic, "worker-tail", bus.Start{})
	return info.Last, err
}

// tail prints events.
type tail struct {
	stdout, stderr io.Writer
	filter         replay.Filter
	json, headers  bool
	left           int // events to print; 0: all
}

// follow prints what the filter selects of what is read, until there were enough.
func (t *tail) follow(events func(yield func(bus.Stored, error) bool)) error {
	for s, err := range events {
		if dropped, ok := errors.AsType[*bus.DroppedError](err); ok {
			_, _ = fmt.Fprintln(t.stderr, visibleText(dropped.Error())) // nobody else to tell
			continue
		}
		if err != nil {
			return err
		}
		if !t.filter.Matches(&s.Event) {
			continue
		}
		if err := t.print(s); err != nil {
			return err
		}
		if t.left--; t.left == 0 {
			return nil
		}
	}
	return nil
}

func (t *tail) print(s bus.Stored) error {
	if t.json {
		line, err := replay.AppendLine(nil, s)
		if err != nil {
			_, _ = fmt.Fprintf(t.stderr, "sequence %d: not printed: %v\n", s.At.Sequence, err) // nobody else to tell
			return nil
		}
		return printLine(t.stdout, strings.TrimSuffix(string(line), "\n"))
	}
	if _, err := fmt.Fprintln(t.stdout, describeStored(&s)); err != nil || !t.headers {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Event.Headers)) {
		for _, value := range s.Event.Headers[name] {
			if _, err := fmt.Fprintf(t.stdout, "    %s: %s\n", visibleText(name), visibleText(value)); err != nil {
				return err
			}
		}
	}
	return nil
}

// describeStored is an event on one line.
func describeStored(s *bus.Stored) string {
	e := &s.Event
	fields := []string{formatMillis(s.At.Stored)}
	for _, field := range []string{bus.LogicalTopic(e.Topic), e.ID, e.Key, cloudevents.TypeOf(e)} {
		fields = append(fields, clipText(visibleText(cmp.Or(field, "-")), 128))
	}
	fields = append(fields, fmt.Sprintf("%d B", len(e.Data)))
	if p, ok := bus.ParsePartition(e.Topic); ok {
		fields = append(fields, fmt.Sprintf("partition %d of %d", p.Number, p.Of))
	}
	if copied := describeCopy(e); copied != "" {
		fields = append(fields, copied)
	}
	fields = append(fields, summarizeData(e.Data))
	if s.Malformed != nil {
		fields = append(fields, "malformed: "+visibleText(s.Malformed.Error()))
	}
	return strings.TrimRight(strings.Join(fields, "  "), " ")
}

// describeCopy is for which group alone an event was redriven or replayed. Empty: it is for all.
func describeCopy(e *bus.Event) string {
	control, err := e.Control()
	if err != nil || control.Group == "" {
		return ""
	}
	text := "for group " + visibleText(control.Group)
	if control.Again != "" {
		text += " in the scope " + visibleText(control.Again)
	}
	return text
}

// summarizeData is the beginning of data, on one line: text as it is, anything else in hexadecimal.
func summarizeData(data []byte) string {
	const characters, bytes = 120, 40
	if utf8.Valid(data) {
		return clipText(visibleText(string(data)), characters)
	}
	if len(data) > bytes {
		return hex.EncodeToString(data[:bytes]) + "…"
	}
	return hex.EncodeToString(data)
}
