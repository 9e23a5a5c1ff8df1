package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

// groupFileFlag names the file of a group's workers, for the ids that it makes of events.
func groupFileFlag(when string) cli.Flag {
	return &cli.StringFlag{
		Name: "config", Aliases: []string{"c"}, TakesFile: true, HideDefault: true,
		Usage: "`FILE` of the group's workers, " + when + " says what an event's id is (id:)",
	}
}

// idFromFile returns the consumer.Options.ID of a group's subscription, as the file of its workers
// says. Nil: no file was named.
func idFromFile(cmd *cli.Command, group, subscription string) (func(bus.Event) string, error) {
	file := cmd.String("config")
	if file == "" {
		return nil, nil //nolint:nilnil // not known
	}
	c, problems := config.Read(file, cmd.Root().Reader, os.LookupEnv)
	if mistakes, _ := problems.SplitWarnings(); len(mistakes) > 0 {
		return nil, mistakes
	}
	for i := range c.Subscriptions {
		if s := &c.Subscriptions[i]; c.Group == group && s.Topic == subscription {
			o, err := s.Options()
			if err != nil || o.ID != nil {
				return o.ID, err
			}
			return func(e bus.Event) string { return e.Identity() }, nil
		}
	}
	return nil, fmt.Errorf("%w: %s has no subscription of the group %q to %q", worker.ErrUsage, file, group, subscription)
}

// readIDs sets Cursor.ID of the group's cursors for a topic, or of all if it is empty, from the
// file that was named, if one was.
func readIDs(cmd *cli.Command, g *explain.Group, topic string) (err error) {
	for i := range g.Cursors {
		c := &g.Cursors[i]
		if topic != "" && !bus.Match(c.Topic, topic) {
			continue
		}
		if c.ID, err = idFromFile(cmd, g.Name, c.Topic); err != nil {
			return err
		}
	}
	return nil
}
