package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/replay"
	"github.com/onceish/onceish/worker"
)

// replayTarget is a group's subscription, and the store with its marks.
type replayTarget struct {
	subscription string
	store        dedupe.Store
}

// findReplayTarget finds the group, or says what to do.
func findReplayTarget(ctx context.Context, c *worker.Connections, group, topic string) (t replayTarget, err error) {
	t.subscription, t.store, err = c.ReplayTarget(ctx, group, topic)
	switch {
	case errors.Is(err, worker.ErrNoMarks):
		return t, fmt.Errorf("%w: repeat with the --mongo and --namespace of its workers, or without, for NATS", err)
	case errors.Is(err, worker.ErrNoConsumer):
		return t, fmt.Errorf("%w, so nobody would handle the events: start its workers first", err)
	}
	return t, err
}

// reportReplayed says what was replayed, and where to go on.
func (p *replayPlan) reportReplayed(cmd *cli.Command, n replay.Replayed, failed bool, stdout, stderr io.Writer) error {
	if quiet := cmd.Bool("quiet"); (!quiet || failed) && n.Last.Sequence > 0 {
		_, _ = fmt.Fprintf(stderr, "go on with --after '%s'\n", n.Last) // nobody else to tell
	}
	if wantsJSON(cmd) {
		return printJSON(stdout, struct {
			Topic      string `json:"topic"`
			Group      string `json:"group,omitempty"`
			Target     string `json:"to_topic,omitempty"`
			Again      string `json:"again,omitempty"`
			Run        string `json:"run,omitempty"`
			Stored     int    `json:"stored"`
			Duplicates int    `json:"duplicates"`
			Refused    int    `json:"refused"`
			leftOutJSON
			Position string `json:"position"`
		}{p.topic, p.group, p.target, p.again, n.Run, n.Stored, n.Duplicates, n.Refused, newLeftOutJSON(n.LeftOut, n.Dropped), n.Last.String()})
	}
	if cmd.Bool("quiet") {
		return nil
	}
	_, err := fmt.Fprintf(stdout, "%d %s replayed\n", n.Stored, pluralNoun(n.Stored, "event"))
	if n.Duplicates > 0 {
		_, _ = fmt.Fprintf(stderr, "%d of them were there already\n", n.Duplicates)
	}
	reportLeftOut(stderr, n.LeftOut)
	return err
}

// leftOutJSON is what is not replayed, to programs.
type leftOutJSON struct {
	Malformed int    `json:"malformed"`
	Copies    int    `json:"copies"`
	Letters   int    `json:"letters"`
	Dropped   uint64 `json:"dropped"`
}

func newLeftOutJSON(n replay.LeftOut, dropped uint64) leftOutJSON {
	return leftOutJSON{n.Malformed, n.Copies, n.Letters, dropped}
}

func reportLeftOut(stderr io.Writer, n replay.LeftOut) {
	for _, c := range []struct {
		n    int
		what string
	}{{n.Malformed, "cannot be read as events"}, {n.Copies, "copies for one group"}, {n.Letters, "dead letters, which are redriven"}} {
		if c.n > 0 {
			_, _ = fmt.Fprintf(stderr, "left out: %d, %s\n", c.n, c.what) // nobody else to tell
		}
	}
}

// preview says what would become of the events.
func (p *replayPlan) preview(
	ctx context.Context, cmd *cli.Command, c *worker.Connections, target replayTarget, end func() uint64, stdout, stderr io.Writer,
) error {
	reader, ok := c.Bus().(bus.Reader)
	if !ok {
		return fmt.Errorf("the bus at %s cannot be read again: %w", c.BusName(), errors.ErrUnsupported)
	}
	id, err := idFromFile(cmd, p.group, target.subscription)
	if err != nil {
		return err
	}
	show := newTransferProgress(stderr, cmd.Bool("quiet"), "looked up")
	n, err := replay.PreviewGroup(ctx, reader, target.store, p.topic, p.r, p.group, &replay.PreviewOptions{
		Filter: p.filter, Again: p.again, Limit: p.limit, Subscription: target.subscription, ID: id,
		Failed:   func(_ bus.Position, err error) { show.reportFailed(err) },
		Progress: func(n replay.Preview) { show.show(n.Events, n.Last.Sequence, end()) },
	})
	show.finish()
	if err != nil {
		return err
	}
	if id == nil && !cmd.Bool("quiet") {
		_, _ = fmt.Fprintln(stderr, "marks were looked up by the ids of the events; if the group's file has id:, name the file with -c")
	}
	return p.reportPreview(cmd, n, stdout, stderr)
}

func (p *replayPlan) reportPreview(cmd *cli.Command, n replay.Preview, stdout, stderr io.Writer) error {
	if wantsJSON(cmd) {
		return printJSON(stdout, struct {
			Topic    string `json:"topic"`
			Group    string `json:"group"`
			Again    string `json:"again,omitempty"`
			Events   int    `json:"events"`
			WouldRun int    `json:"would_run"`
			Done     int    `json:"done"`
			Dead     int    `json:"dead"`
			Held     int    `json:"held"`
			Pending  int    `json:"pending"`
			leftOutJSON
		}{p.topic, p.group, p.again, n.Events, n.WouldRun, n.Done, n.Dead, n.Held, n.Pending, newLeftOutJSON(n.LeftOut, n.Dropped)})
	}
	if !cmd.Bool("quiet") {
		reportLeftOut(stderr, n.LeftOut)
	}
	wouldRun := "the group has no mark of them"
	if p.again != "" {
		wouldRun += " in scope " + p.again
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name string
		n    int
		note string
	}{
		{"events", n.Events, ""},
		{"would run", n.WouldRun, wouldRun},
		{"done", n.Done, "recognised, and not run"},
		{"dead", n.Dead, "not run: see worker dlq redrive " + visibleText(p.group)},
		{"held", n.Held, "run now, or wait for their retry"},
		{"pending", n.Pending, "the group gets them anyway, and runs them once"},
	} {
		note := row.note
		if row.n == 0 {
			note = ""
		}
		_, _ = fmt.Fprintf(t, "%s\t%d\t%s\n", row.name, row.n, note) // Flush tells of what fails
	}
	return t.Flush()
}
