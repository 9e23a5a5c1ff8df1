package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/internal/ndjson"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

func publishCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "publish",
		Usage:     "publish each line of a file, or of standard input, as an event",
		ArgsUsage: "TOPIC [FILE|-]",
		Description: `A line that is a JSON object with an "id" is published once, however often it is published: the id tells events
of a topic apart. Any other line gets a fresh id each time, for two equal lines are two events. Empty lines are skipped.
Lines are stored in their order: the next one is published when the one before is confirmed. With --key-field that holds
for each key, and keys do not wait for each other; with --unordered for none. A line that cannot be stored is reported with
its number, and the others go on.

With --in or --at they wait until they are due: in the outbox of --mongo, if it has one, or else in the stream of the topic,
which must allow schedules. Lines without an id field are other events each time. See worker scheduled.

With --schemas a line that violates the schema of its topic is refused, with its path. Without it nothing is checked.

Examples:
   worker publish order.placed orders.ndjson
   worker publish --id-field order --key-field customer order.placed < orders.ndjson
   worker publish --key-field customer --partitions 8 order.placed orders.ndjson
   printf '{"id":"17"}\n' | worker publish --in 10m reminder.due
   worker publish --schemas nats order.placed orders.ndjson
   printf '{"id":"1"}\n' | worker publish --nats nats://localhost:4222 --provision order.placed

Exit status: 0 when every line was stored, 1 when not, 2 wrong usage.`,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "id-field", Usage: "JSON `FIELD` that tells events apart, required in every line (default: \"id\", where there is one)", HideDefault: true},
			&cli.StringFlag{Name: "key-field", Usage: "JSON `FIELD` by which events are ordered, required in every line", HideDefault: true},
			&cli.IntFlag{Name: "partitions", HideDefault: true, Usage: "publish to one of `N` partitions, by the key or, without one, the id: as many as readers have in order: partitions:N", Validator: validPartitions},
			&cli.BoolFlag{Name: "unordered", HideDefault: true, Usage: "publish many lines at once: faster, and a line may be stored behind later ones when the server fails"},
		}, dueFlags(), outputFlags(), config.Flags(publishSections...)),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return publishLines(ctx, cmd, stdout, stderr) },
	}
}

func publishLines(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) (err error) {
	topic, err := publishTopic(cmd)
	if err != nil {
		return err
	}
	c, err := config.FromFlags(cmd, publishSections...)
	if err != nil {
		return err
	}
	when, err := parseDue(cmd, time.Now())
	if err != nil {
		return err
	}
	if when.isZero() {
		c.Mongo = config.Mongo{} // it is not needed
	}
	in, closing, err := openInput(cmd, cmd.Args().Get(1))
	if err != nil {
		return err
	}
	defer closing()
	if cmd.Bool("quiet") {
		c.Log.Level = "error"
	}
	log := newLogger(c, stderr)
	ctx, forceStop, release := worker.Signals(ctx, log)
	defer release()
	configured := c
	return withConnections(ctx, connectOptions(cmd, c, log), func(c *worker.Connections) error {
		layout := flagLayout(cmd, topic)
		info, err := c.Bus().Topic(ctx, bus.Partition{Topic: topic, Of: layout[topic]}.Name(), "", bus.Start{})
		if err != nil {
			return err
		}
		to, done, where, err := publisherAt(ctx, cmd, c, when)
		if err == nil {
			to, err = checkedPublisher(ctx, cmd, c, configured, log, to)
		}
		if err != nil {
			return err
		}
		show := newProgress(stderr, cmd.Bool("quiet"), done, "events")
		n, err := ndjson.Publish(ctx, layout.Publisher(to), topic, in, &ndjson.Options{
			IDField: cmd.String("id-field"), KeyField: cmd.String("key-field"), Order: lineOrder(cmd), MaxBytes: info.MaxBytes, ForceStop: forceStop,
			Refused: show.reportRefused, Progress: show.showStored,
		})
		show.reportDone(n, done, " to "+topic+where)
		if wantsJSON(cmd) {
			err = errors.Join(err, printJSON(stdout, n))
		}
		return err
	})
}

// publishTopic is the topic that the arguments name.
func publishTopic(cmd *cli.Command) (string, error) {
	if n := cmd.Args().Len(); n < 1 || n > 2 {
		return "", commandline.Usagef(cmd, "%d arguments: name a topic, and a file or nothing", n)
	}
	topic := cmd.Args().First()
	if err := bus.ValidTopic(topic); err != nil {
		return "", commandline.Usagef(cmd, "%w", err)
	}
	return topic, nil
}

// flagLayout is that of --partitions for a topic.
func flagLayout(cmd *cli.Command, topic string) bus.Layout {
	if n := cmd.Int("partitions"); n > 0 {
		return bus.Layout{topic: n}
	}
	return nil
}

// validPartitions checks --partitions.
func validPartitions(n int) error { return bus.ValidPartitions(n) }

// publisherAt publishes events at once, or keeps them until they are due. It also says what it
// does, and when and where.
func publisherAt(ctx context.Context, cmd *cli.Command, c *worker.Connections, when due) (to bus.Publisher, done, where string, err error) {
	if when.isZero() {
		return c.Bus(), "published", "", nil
	}
	later, err := newDuePublisher(ctx, cmd, c, when)
	if err != nil {
		return nil, "", "", err
	}
	return later, "scheduled", fmt.Sprintf(" at %s, in %s", when.on(time.Now()).UTC().Format(time.RFC3339), later.where), nil
}

// lineOrder is the order that the flags ask for.
func lineOrder(cmd *cli.Command) ndjson.Order {
	switch {
	case cmd.Bool("unordered"):
		return ndjson.OrderNone
	case cmd.String("key-field") != "":
		return ndjson.OrderKeys
	}
	return ndjson.OrderAll
}

// openInput is the file that was named, or standard input.
func openInput(cmd *cli.Command, name string) (io.Reader, func(), error) {
	if name == "" || name == "-" {
		return cmd.Root().Reader, func() {}, nil
	}
	f, err := os.Open(name) //nolint:gosec // the user's own file
	if err != nil {
		return nil, nil, err
	}
	return f, func() { _ = f.Close() }, nil // it was only read
}
