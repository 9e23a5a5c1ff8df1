package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/view"
)

func scheduledCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "scheduled",
		Usage: "look after events that wait until they are due",
		Description: `They wait in an outbox, if there is one in the MongoDB that is named, or in the stream of their topic.

Examples:
   worker scheduled list 'reminder.>'
   worker scheduled list 'reminder.>' -o json | jq -r '.scheduled[].due'
   worker scheduled cancel reminder.due order-17

Exit status: 0 done, 1 failed, or not all waited, 2 wrong usage.`,
		Commands:     []*cli.Command{listScheduledCommand(stdout, stderr), cancelScheduledCommand(stdout, stderr), helpCommand(stdout, "scheduled")},
		OnUsageError: commandline.UsageError,
		Action:       showHelp,
	}
}

// scheduledFlags say where events wait.
func scheduledFlags() []cli.Flag {
	return append(append(outputFlags(), collectionFlag()), config.Flags(dlqSections...)...)
}

// scheduledEvent is one that waits, for people and programs.
type scheduledEvent struct {
	Due   string `json:"due"`
	Topic string `json:"topic"`
	ID    string `json:"id"`
	Key   string `json:"key,omitempty"`
	// Source is empty for the default one.
	Source string `json:"source,omitempty"`
	// Where it waits: an outbox, or "JetStream".
	Where string `json:"where"`
	at    time.Time
}

func newScheduledEvent(e *bus.Event, at time.Time, where string) scheduledEvent {
	s := scheduledEvent{Due: view.FormatTime(at), Topic: e.Topic, ID: e.ID, Key: e.Key, Where: where, at: at}
	if e.Source != bus.DefaultSource {
		s.Source = e.Source
	}
	return s
}

// waitingRoom is where events wait.
type waitingRoom struct {
	where  string
	list   func(ctx context.Context, pattern string, limit int) ([]scheduledEvent, error)
	cancel func(ctx context.Context, topic, id, source string) (outbox.Change, error)
}

// waitingRooms are the outbox, where there is one, and the bus.
func waitingRooms(ctx context.Context, cmd *cli.Command, c *worker.Connections) (rooms []waitingRoom, err error) {
	box, err := c.OutboxAdmin(ctx, cmd.String("collection"))
	switch {
	case err == nil:
		s, ok := box.Admin.(outbox.Schedules)
		if !ok {
			return nil, fmt.Errorf("%s keeps no scheduled rows", box.Name())
		}
		rooms = append(rooms, outboxRoom(box.Name(), s))
	case !errors.Is(err, worker.ErrNoOutbox) || cmd.IsSet("collection"):
		return nil, err
	}
	if s, ok := c.Bus().(bus.Scheduler); ok {
		rooms = append(rooms, busRoom(s))
	}
	return rooms, nil
}

func outboxRoom(where string, s outbox.Schedules) waitingRoom {
	return waitingRoom{
		where: where,
		list: func(ctx context.Context, pattern string, limit int) (out []scheduledEvent, err error) {
			rows, err := s.Scheduled(ctx, outbox.Filter{Topic: pattern}, outbox.Row{}, limit)
			for i := range rows {
				out = append(out, newScheduledEvent(&rows[i].Event, rows[i].At, where))
			}
			return out, err
		},
		cancel: func(ctx context.Context, topic, id, source string) (outbox.Change, error) {
			return s.Cancel(ctx, outbox.RowID(&bus.Event{Topic: topic, ID: id, Source: source}))
		},
	}
}

func busRoom(s bus.Scheduler) waitingRoom {
	const where = "JetStream"
	return waitingRoom{
		where: where,
		list: func(ctx context.Context, pattern string, limit int) (out []scheduledEvent, err error) {
			events, err := s.Scheduled(ctx, pattern, limit)
			if errors.Is(err, bus.ErrNoStream) {
				return nil, nil // then none waits there
			}
			for i := range events {
				out = append(out, newScheduledEvent(&events[i].Event, events[i].Due, where))
			}
			return out, err
		},
		cancel: func(ctx context.Context, topic, id, source string) (outbox.Change, error) {
			e := bus.Event{ID: id, Source: source}
			err := s.CancelScheduled(ctx, topic, e.Identity())
			switch {
			case err == nil:
				return outbox.Changed, nil
			case errors.Is(err, bus.ErrNotScheduled), errors.Is(err, bus.ErrNoStream):
				return outbox.NotFound, nil
			}
			return outbox.NotFound, err
		},
	}
}

// withWaitingRooms calls f with where events wait.
func withWaitingRooms(ctx context.Context, cmd *cli.Command, stderr io.Writer, f func([]waitingRoom) error) error {
	c, err := config.FromFlags(cmd, dlqSections...)
	if err != nil {
		return err
	}
	return withConnections(ctx, connectOptions(cmd, c, newLogger(c, stderr)), func(conns *worker.Connections) error {
		rooms, err := waitingRooms(ctx, cmd, conns)
		if err != nil {
			return err
		}
		return f(rooms)
	})
}

func listScheduledCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list events of a topic that wait, the next one due first", ArgsUsage: "TOPIC",
		Description: "TOPIC may be a pattern. WHERE is where an event waits.",
		Flags: append([]cli.Flag{
			&cli.IntFlag{Name: "limit", Value: shownRows, Usage: "how many events at most", Validator: commandline.Positive},
		}, scheduledFlags()...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return commandline.Usagef(cmd, "%d arguments: name one topic or pattern", cmd.Args().Len())
			}
			if err := bus.ValidPattern(cmd.Args().First()); err != nil {
				return commandline.Usagef(cmd, "%w", err)
			}
			return withWaitingRooms(ctx, cmd, stderr, func(rooms []waitingRoom) error { return listScheduled(ctx, cmd, rooms, stdout, stderr) })
		},
	}
}

func listScheduled(ctx context.Context, cmd *cli.Command, rooms []waitingRoom, stdout, stderr io.Writer) error {
	all, limit := []scheduledEvent{}, cmd.Int("limit")
	for _, room := range rooms {
		some, err := room.list(ctx, cmd.Args().First(), limit+1)
		if err != nil {
			return fmt.Errorf("%s: %w", room.where, err)
		}
		all = append(all, some...)
	}
	slices.SortStableFunc(all, func(a, b scheduledEvent) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.ID, b.ID)) })
	more := len(all) > limit
	all = all[:min(limit, len(all))]
	if wantsJSON(cmd) {
		return printJSON(stdout, struct {
			Scheduled []scheduledEvent `json:"scheduled"`
			More      bool             `json:"more"`
		}{all, more})
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	if len(all) > 0 {
		_, _ = fmt.Fprintln(t, "DUE\tTOPIC\tID\tKEY\tWHERE") // Flush tells of what fails
	}
	for _, s := range all {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", s.Due, visibleText(s.Topic), visibleText(s.ID), visibleText(s.Key), visibleText(s.Where))
	}
	if more && !cmd.Bool("quiet") {
		_, _ = fmt.Fprintf(stderr, "there are more events than the %d shown: narrow the topic, or raise --limit\n", limit) // nobody else to tell
	}
	return t.Flush()
}

// errNotAllCancelled is returned when some events did not wait.
var errNotAllCancelled = errors.New("not all were cancelled")

func cancelScheduledCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "cancel", Usage: "cancel events that wait, by their ids", ArgsUsage: "TOPIC ID...",
		Description: `What was cancelled is not published. An event that is due can no longer be cancelled, on JetStream from a second before on; for each
event it says which it was.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "source", HideDefault: true, Usage: "`SOURCE` of the events, if they have one"},
		}, scheduledFlags()...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() < 2 {
				return commandline.Usagef(cmd, "%d arguments: name a topic, and the ids of events", cmd.Args().Len())
			}
			if err := bus.ValidTopic(cmd.Args().First()); err != nil {
				return commandline.Usagef(cmd, "%w", err)
			}
			return withWaitingRooms(ctx, cmd, stderr, func(rooms []waitingRoom) error { return cancelScheduled(ctx, cmd, rooms, stdout) })
		},
	}
}

// cancellation is what became of one event, for programs.
type cancellation struct {
	ID     string `json:"id"`
	Result string `json:"result"`
	Where  string `json:"where,omitempty"`
}

func cancelScheduled(ctx context.Context, cmd *cli.Command, rooms []waitingRoom, stdout io.Writer) error {
	var all []cancellation
	var missed error
	for _, id := range cmd.Args().Tail() {
		c, err := cancelOne(ctx, rooms, cmd.Args().First(), id, cmd.String("source"))
		if err != nil {
			return err
		}
		if c.Result != "cancelled" {
			missed = errNotAllCancelled
		}
		all = append(all, c)
	}
	if wantsJSON(cmd) {
		return errors.Join(missed, printJSON(stdout, all))
	}
	for _, c := range all {
		where := ""
		if c.Where != "" {
			where = " in " + c.Where
		}
		if _, err := fmt.Fprintf(stdout, "%s: %s%s\n", visibleText(c.ID), c.Result, where); err != nil {
			return err
		}
	}
	return missed
}

// cancelOne cancels an event wherever it waits.
func cancelOne(ctx context.Context, rooms []waitingRoom, topic, id, source string) (cancellation, error) {
	out := cancellation{ID: id, Result: "not found: it was published, cancelled, or never scheduled"}
	for _, room := range rooms {
		got, err := room.cancel(ctx, topic, id, source)
		switch {
		case err != nil:
			return out, fmt.Errorf("%s: %w", room.where, err)
		case got == outbox.Changed:
			out.Result, out.Where = "cancelled", room.where
		case got == outbox.TooLate && out.Where == "":
			out.Result, out.Where = "too late: it is due, and was published or is about to be", room.where
		}
	}
	return out, nil
}
