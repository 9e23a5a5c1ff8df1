package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/backoff"
	"github.com/onceish/onceish/worker"
)

// Waits between two looks at a group's cursors, and after how long people are told what is left.
const (
	lagPollInterval = 200 * time.Millisecond
	lagTellInterval = 10 * time.Second
)

// waitUntilSettled returns once nothing of a topic, or of all topics of the group, is pending or
// unsettled. What is published meanwhile counts as well.
func waitUntilSettled(ctx context.Context, cmd *cli.Command, c *worker.Connections, group, topic string, stderr io.Writer) error {
	lister, ok := c.Bus().(bus.CursorLister)
	if !ok {
		return fmt.Errorf("the bus at %s does not list cursors: %w", c.BusName(), errors.ErrUnsupported)
	}
	for told := time.Now(); ; {
		all, err := lister.Cursors(ctx, group)
		if err != nil {
			return err
		}
		cursors := slices.DeleteFunc(all, func(c bus.Cursor) bool {
			return topic != "" && !bus.Match(c.Topic, topic) && bus.LogicalTopic(c.Topic) != topic
		})
		if len(cursors) == 0 {
			return fmt.Errorf("there is no group %q on %s that is subscribed to %s: worker groups list shows what is there", group, c.BusName(), orAnything(topic))
		}
		var pending, unsettled uint64
		for _, c := range cursors {
			pending, unsettled = pending+c.Pending, unsettled+c.Unsettled
		}
		if pending+unsettled == 0 {
			return nil
		}
		if time.Since(told) > lagTellInterval && !cmd.Bool("quiet") {
			told = time.Now()
			_, _ = fmt.Fprintf(stderr, "waiting: %d pending, %d unsettled\n", pending, unsettled) // nobody else to tell
		}
		if err := backoff.Sleep(ctx, lagPollInterval); err != nil {
			return err
		}
	}
}

func orAnything(topic string) string {
	if topic == "" {
		return "anything"
	}
	return fmt.Sprintf("%q", topic)
}
