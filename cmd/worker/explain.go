package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

func explainCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "explain", Usage: "show what became of one event in a group", ArgsUsage: "TOPIC GROUP [ID]",
		Description: `One line for each thing that happened, with where it is known from: the stream, the row that the store keeps of the event, dead letters, the outbox.
What is not known is named, with the reason. The last line says where the event stands, and what it waits for; a line before it says so of each
scope in which a replay runs the event again. Times are by the clock of the source: the server's for what is stored, the process's for its attempts.

The event is named by its ID, by the --sequence of a copy of it in the stream, or by a --letter, which may have been redriven. It is looked for from
where the store or a letter says that it lies, or else from the earliest event on. Marks and outbox are looked up in MongoDB with --mongo, else the
marks in the bucket of NATS. Marks of a group that has ids of its own (id:) are found with -c.

With -o json, "state" is one of "not found", "not subscribed", "pending", "running", "retrying", "dead-lettering", "dead", "done", "settled" (acked, and no
mark is left) and "unreadable".

Examples:
   worker explain order.placed billing 17 --mongo mongodb://localhost:27017/shop
   worker explain order.placed billing --sequence 4711 -c worker.yaml
   worker explain order.placed billing 17 -o json | jq -r .state

Exit status: 0 done, also if nothing is known of an ID ("not found"), 1 failed, or no event is stored under the --sequence or of the --letter, 2 wrong usage.`,
		Flags: slices.Concat([]cli.Flag{
			&cli.Uint64Flag{Name: "sequence", Usage: "the event at this `SEQUENCE` of the topic's stream", HideDefault: true},
			&cli.StringFlag{Name: "letter", Usage: "the event of the dead letter with this `ID`", HideDefault: true},
			&cli.StringFlag{Name: "source", Usage: "the event's `SOURCE`, where several events have the ID", HideDefault: true},
			&cli.StringFlag{Name: "from", Usage: "look for it from the first event on that was stored at this `TIME`, or so long ago, or later", HideDefault: true},
			&cli.StringFlag{Name: "collection", Value: worker.OutboxCollection, Usage: "`NAME` of the outbox's collection, in the database of --mongo"},
			deadLetterFlag(), groupFileFlag("where it"),
		}, outputFlags(), config.Flags(dlqSections...)),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return explainEvent(ctx, cmd, stdout, stderr) },
	}
}

func explainEvent(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	q, err := explainQuery(cmd, time.Now())
	if err != nil {
		return err
	}
	return withGroups(ctx, cmd, stderr, dlqSections, func(c *worker.Connections) error {
		o := worker.ExplainOptions{DeadLetter: cmd.String("dead-letter"), Outbox: cmd.String("collection")}
		sources, err := c.Explain(ctx, cmd.Args().Get(1), &o)
		if err != nil {
			return err
		}
		if err := readIDs(cmd, &sources.Group, q.Topic); err != nil {
			return err
		}
		if isTerminal(stderr) && !cmd.Bool("quiet") {
			q.Progress = func(events int) { _, _ = fmt.Fprintf(stderr, "\rread %d events", events) } // it is only to look at
		}
		story, err := sources.Story(ctx, q)
		if q.Progress != nil {
			_, _ = fmt.Fprint(stderr, "\r\x1b[K") // the same
		}
		if err != nil {
			return err
		}
		if wantsJSON(cmd) {
			return printJSON(stdout, story)
		}
		return printStory(stdout, story)
	})
}

// explainQuery is the event that the arguments and flags name.
func explainQuery(cmd *cli.Command, now time.Time) (q explain.Query, err error) {
	args := cmd.Args()
	q = explain.Query{Topic: args.Get(0), ID: args.Get(2), Source: cmd.String("source"), Sequence: cmd.Uint64("sequence"), Letter: cmd.String("letter")}
	named := 0
	for _, is := range []bool{q.ID != "", q.Sequence > 0, q.Letter != ""} {
		if is {
			named++
		}
	}
	switch {
	case args.Len() < 2 || args.Len() > 3:
		return q, commandline.Usagef(cmd, "%d arguments: name a topic, a group, and the id of an event", args.Len())
	case named != 1:
		return q, commandline.Usagef(cmd, "name the event by one of its ID, --sequence and --letter")
	case q.Source != "" && q.ID == "":
		return q, commandline.Usagef(cmd, "--source goes with the ID of an event: leave it out")
	}
	if err := bus.ValidTopic(q.Topic); err != nil {
		return q, commandline.Usagef(cmd, "%w", err)
	}
	if err := bus.ValidTopic(cmp.Or(cmd.String("dead-letter"), "dead."+args.Get(1))); err != nil {
		return q, commandline.Usagef(cmd, "%w", err)
	}
	moment, err := parseMoment(cmd.String("from"))
	if err != nil {
		return q, commandline.Usagef(cmd, "--from: %w", err)
	}
	if q.From = moment.Time; moment.Ago > 0 {
		q.From = now.Add(-moment.Ago)
	}
	return q, nil
}

// printStory writes what became of an event, for people.
func printStory(w io.Writer, s *explain.Story) error {
	head := fmt.Sprintf("event %s of %s in group %s", clipText(s.ID, 128), s.Topic, s.Group)
	if s.Key != "" {
		head += ", key " + clipText(s.Key, 128)
	}
	if err := printLines(w, []string{head}); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range s.Timeline {
		l := &s.Timeline[i]
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", cmp.Or(formatMillis(l.Time), "-"), l.Source, visibleText(l.Text)) // Flush returns what fails
	}
	if err := t.Flush(); err != nil {
		return err
	}
	lines := slices.Clone(s.Missing)
	for i := 1; i < len(s.Waits); i++ { // the summary has the first
		lines = append(lines, "it also waits: "+s.Waits[i].Text)
	}
	for i := range s.Others {
		o, prefix := &s.Others[i], ""
		if o.Scope == "" {
			prefix = "the first time: "
		}
		lines = append(lines, prefix+o.Summary+redriveAdvice(s.Group, o))
	}
	return printLines(w, append(lines, s.Summary+redriveAdvice(s.Group, &s.Standing)))
}

// redriveAdvice is the command that redrives an event's letter; empty: there is none.
func redriveAdvice(group string, s *explain.Standing) string {
	if s.State != explain.Dead || s.Letter == "" {
		return ""
	}
	return fmt.Sprintf("; redrive it with: worker dlq redrive %s --id %s", quoteArgument(group), quoteArgument(s.Letter))
}

// quoteArgument is an argument as a shell reads it.
func quoteArgument(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
