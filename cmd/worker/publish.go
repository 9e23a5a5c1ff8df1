package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/lines"
)

func publishCommand(stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "publish",
		Usage:     "publish each line of a file, or of standard input, as an event",
		ArgsUsage: "TOPIC [FILE|-]",
		Description: `A line that is a JSON object with an "id" is published once, however often it is published: the id tells events
of a topic apart. Any other line gets a fresh id each time, for two equal lines are two events. Empty lines are skipped.
Lines are stored in their order. A line that cannot be stored is reported with its number, and the others go on.

Examples:
   worker publish order.placed orders.ndjson
   worker publish --id-field order --key-field customer order.placed < orders.ndjson
   printf '{"id":"1"}\n' | worker publish --nats nats://localhost:4222 --provision order.placed

Exit status: 0 when every line was stored, 1 when not, 2 wrong usage.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "id-field", Usage: "JSON `FIELD` that tells events apart, required in every line (default: \"id\", where there is one)", HideDefault: true},
			&cli.StringFlag{Name: "key-field", Usage: "JSON `FIELD` by which events are ordered, required in every line", HideDefault: true},
		}, connectFlags()...),
		OnUsageError: usageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return publish(ctx, cmd, stderr) },
	}
}

func publish(ctx context.Context, cmd *cli.Command, stderr io.Writer) (err error) {
	if n := cmd.Args().Len(); n < 1 || n > 2 {
		return usageError(ctx, cmd, fmt.Errorf("%d arguments: name a topic, and a file or nothing", n), true)
	}
	topic := cmd.Args().First()
	if err := bus.ValidTopic(topic); err != nil {
		return usageError(ctx, cmd, err, true)
	}
	in, closing, err := input(cmd)
	if err != nil {
		return err
	}
	defer closing()
	log := logger(cmd, stderr)
	ctx, hurry, release := worker.Signals(ctx, log)
	defer release()
	return connected(ctx, cmd, log, func(c *worker.Connections) error {
		info, err := c.Bus().Topic(ctx, topic, "", bus.Start{})
		if err != nil {
			return err
		}
		show := &progress{w: stderr, live: terminal(stderr)}
		n, err := lines.Publish(ctx, c.Bus(), topic, in, &lines.Options{
			IDField: cmd.String("id-field"), KeyField: cmd.String("key-field"), MaxBytes: info.MaxBytes, Hurry: hurry,
			Refused: show.refused, Progress: show.stored,
		})
		show.done(n, topic)
		return err
	})
}

// input is the file that was named, or standard input.
func input(cmd *cli.Command) (io.Reader, func(), error) {
	name := cmd.Args().Get(1)
	if name == "" || name == "-" {
		return cmd.Root().Reader, func() {}, nil
	}
	f, err := os.Open(name) //nolint:gosec // the user's own file
	if err != nil {
		return nil, nil, err
	}
	return f, func() { _ = f.Close() }, nil // it was only read
}

// progress tells people how far it is, on a terminal only, and what went wrong.
type progress struct {
	w    io.Writer
	live bool

	mu    sync.Mutex
	last  time.Time
	shown bool
}

func (p *progress) refused(line int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.printf("line %d: not stored: %v\n", line, err)
}

func (p *progress) stored(n lines.Published) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.live || time.Since(p.last) < 200*time.Millisecond {
		return
	}
	p.clear()
	p.printf("%d events published", n.Stored)
	p.last, p.shown = time.Now(), true
}

func (p *progress) done(n lines.Published, topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.printf("published %d %s to %s", n.Stored, plural(n.Stored, "event"), topic)
	if n.Duplicates > 0 {
		p.printf(" (%d %s)", n.Duplicates, plural(n.Duplicates, "duplicate"))
	}
	if n.Refused > 0 {
		p.printf(", %d %s not stored", n.Refused, plural(n.Refused, "line"))
	}
	p.printf("\n")
}

func (p *progress) clear() {
	if p.shown {
		p.printf("\r\x1b[K")
		p.shown = false
	}
}

func (p *progress) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format, args...) // nobody else to tell
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
