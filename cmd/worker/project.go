package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/projector"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/view"
)

func projectCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "project",
		Usage: "make the collection of a projection again",
		Description: `A subscription with the handler project keeps a collection. These commands make its documents again, of all events of the topic, beside the live
collection, compare the two, and exchange them. The workers of the group run meanwhile. Whatever ends a command, the next one goes on.

Examples:
   worker project rebuild -c worker.yaml
   worker project diff -c worker.yaml
   worker project swap -c worker.yaml --yes

Exit status: 0 done, and with diff nothing differs; 1 failed, something differs, or not asked for after all; 2 wrong usage.`,
		Commands: []*cli.Command{
			rebuildCommand(stdout, stderr), diffCommand(stdout, stderr), swapCommand(stdin, stdout, stderr), dropRebuildCommand(stdout, stderr), helpCommand(stdout, "project"),
		},
		OnUsageError: commandline.UsageError,
		Action:       showHelp,
	}
}

// projectFlags are those of all commands about projections.
func projectFlags(more ...cli.Flag) []cli.Flag {
	return slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, TakesFile: true, Usage: "`FILE` of the group's workers, or - for standard input"},
		&cli.StringFlag{Name: "collection", HideDefault: true, Usage: "`COLLECTION` of the projection, where the file has several"},
	}, more, outputFlags(), config.Flags(config.SectionGroup, config.SectionMongo, config.SectionNATS, config.SectionDataDir, config.SectionLog, config.SectionStrict))
}

func rebuildCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "rebuild", Usage: "read all events of the topic into a new collection",
		Description: `The collection has the name of the live one and _rebuild. It reads the events that are stored when it begins; repeat it to read those that came since.

Example:
   worker project rebuild -c worker.yaml`,
		Flags: projectFlags(&cli.BoolFlag{
			Name: "incomplete", HideDefault: true, Usage: "make do with the events that the stream still has",
		}),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withRebuild(ctx, cmd, stderr, func(r *projector.Rebuild) error {
				p, err := r.Fill(ctx)
				if err != nil {
					return err
				}
				return printProgress(cmd, stdout, "rebuilt", &p)
			})
		},
	}
}

func diffCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "compare what was rebuilt with the live collection",
		Description: `Documents of events that the rebuild has not read yet are counted apart: repeat worker project rebuild to have few of them.

Example:
   worker project diff -c worker.yaml -o json | jq .keys`,
		Flags:        projectFlags(),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withRebuild(ctx, cmd, stderr, func(r *projector.Rebuild) error {
				d, err := r.Diff(ctx)
				if err == nil {
					err = printDiff(cmd, stdout, &d)
				}
				if err == nil && !d.Same() {
					err = fmt.Errorf("%d documents differ", d.OnlyLive+d.OnlyRebuilt+d.Different)
				}
				return err
			})
		},
	}
}

func swapCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "swap", Usage: "put what was rebuilt in the place of the live collection",
		Description: `The live collection is dropped, and the rebuilt one has its name then. Events that come meanwhile are in it.

Example:
   worker project swap -c worker.yaml --yes`,
		Flags:        projectFlags(yesFlag("")),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			c := &confirmedChange{cmd: cmd, stdin: stdin, stdout: stdout, stderr: stderr, verb: "swap", done: "swapped"}
			if err := c.checkCanAsk("the collection"); err != nil {
				return err
			}
			return withRebuild(ctx, cmd, stderr, func(r *projector.Rebuild) error { return swapRebuild(ctx, c, r) })
		},
	}
}

func dropRebuildCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "drop", Usage: "give up a rebuild, and drop what was rebuilt",
		Description: `The live collection stays as it is.

Example:
   worker project drop -c worker.yaml`,
		Flags:        projectFlags(),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withRebuild(ctx, cmd, stderr, func(r *projector.Rebuild) error {
				if err := r.Drop(ctx); err != nil {
					return err
				}
				return printDone(cmd, stdout, map[string]any{"dropped": true}, "dropped what was rebuilt\n")
			})
		},
	}
}

// withRebuild calls f with the rebuild of the projection that the file and the flags name.
func withRebuild(ctx context.Context, cmd *cli.Command, stderr io.Writer, f func(*projector.Rebuild) error) error {
	if err := noArguments(cmd, "name the file with -c"); err != nil {
		return err
	}
	file := cmd.String("config")
	if file == "" {
		return commandline.Usagef(cmd, "name a file with -c")
	}
	c, _, err := config.Load(cmd, file)
	if err != nil {
		return err
	}
	s, err := findProjection(cmd, c)
	if err != nil {
		return err
	}
	if !cmd.IsSet("log-level") {
		c.Log.Level = "warn"
	}
	return withConnections(ctx, connectOptions(cmd, c, newLogger(c, stderr)), func(conns *worker.Connections) error {
		r, err := conns.Rebuild(ctx, c.Group, s, &projector.RebuildOptions{Incomplete: cmd.Bool("incomplete")})
		if err != nil {
			return err
		}
		return f(r)
	})
}

// findProjection returns the subscription of the projection that is meant.
func findProjection(cmd *cli.Command, c *config.Config) (found *config.Subscription, err error) {
	var names []string
	named := cmd.String("collection")
	for i := range c.Subscriptions {
		s := &c.Subscriptions[i]
		if s.Handler.Project == nil {
			continue
		}
		name := s.Handler.Project.Collection
		names = append(names, name)
		if named == "" || named == name {
			found = s
		}
	}
	switch {
	case len(names) == 0:
		return nil, commandline.Usagef(cmd, "the file has no subscription with the handler project")
	case found == nil:
		return nil, commandline.Usagef(cmd, "no projection into %q: there are those into %s", named, strings.Join(names, ", "))
	case named == "" && len(names) > 1:
		return nil, commandline.Usagef(cmd, "the file has projections into %s: name one with --collection", strings.Join(names, ", "))
	}
	return found, nil
}

func swapRebuild(ctx context.Context, c *confirmedChange, r *projector.Rebuild) error {
	if err := c.confirmChange(r.Collection(), "the documents for those that were rebuilt"); err != nil {
		return err
	}
	p, err := r.Swap(ctx)
	if err != nil {
		return err
	}
	return printProgress(c.cmd, c.stdout, "swapped", &p)
}

func printProgress(cmd *cli.Command, stdout io.Writer, done string, p *projector.Progress) error {
	text := fmt.Sprintf("%s: %d events up to sequence %d, of which %d were skipped and %d refused\n", done, p.Events, p.At.Sequence, p.Skipped, p.Refused)
	if p.Refused > 0 {
		text += "the last one that was refused: " + visibleText(p.Refusal) + "\n"
	}
	return printDone(cmd, stdout, map[string]any{
		"done": done, "events": p.Events, "skipped": p.Skipped, "refused": p.Refused, "refusal": p.Refusal,
		"sequence": p.At.Sequence, "begun": view.FormatTime(p.Begun),
	}, "%s", text)
}

func printDiff(cmd *cli.Command, stdout io.Writer, d *projector.Diff) error {
	text := fmt.Sprintf("%d equal, %d different, %d in the live collection alone, %d in the rebuilt one alone; %d of events that the rebuild has not read\n",
		d.Equal, d.Different, d.OnlyLive, d.OnlyRebuilt, d.Newer)
	var keys strings.Builder
	for _, key := range d.Keys {
		keys.WriteString("  " + visibleText(key) + "\n")
	}
	return printDone(cmd, stdout, map[string]any{
		"equal": d.Equal, "different": d.Different, "only_live": d.OnlyLive, "only_rebuilt": d.OnlyRebuilt, "newer": d.Newer, "keys": d.Keys,
	}, "%s%s", text, keys.String())
}
