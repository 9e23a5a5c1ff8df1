package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/schema"
)

func addSchemaCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "add a version of a schema", ArgsUsage: "TOPIC [FILE|-]",
		Description: `The version must be compatible with those before it, as --compatibility says. What is not, and what cannot be decided, is refused with
the path in the schema and the change. A schema that is the newest one already is not added again.

Examples:
   worker schema add order.placed order.json
   worker schema add order.placed --compatibility full-transitive --samples orders.ndjson order.json
   worker schema add order.placed --force 'all consumers upcast' order.json`,
		Flags:        schemaFlags(append(schemaChangeFlags(), &cli.StringFlag{Name: "force", Usage: "add it although it is not compatible, for this `REASON`, which is kept", HideDefault: true})...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			change, err := readChange(cmd, stdin)
			if err != nil {
				return err
			}
			return withSchemas(ctx, cmd, stderr, made, func(s schema.Store) error { return change.add(ctx, cmd, stdout, s) })
		},
	}
}

func checkSchemaCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "check all schemas, or what adding one would say", ArgsUsage: "[TOPIC [FILE|-]]",
		Description: `Alone it checks everything that is stored: texts, samples and compatibility. With a topic and a file it says whether worker schema add
would add it, and adds nothing.

Examples:
   worker schema check --schemas ./schemas
   worker schema check --schemas ./schemas order.placed order.json`,
		Flags:        schemaFlags(schemaChangeFlags()...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if !cmd.Args().Present() {
				return withSchemas(ctx, cmd, stderr, existing, func(s schema.Store) error { return checkSchemas(ctx, cmd, stdout, s) })
			}
			change, err := readChange(cmd, stdin)
			if err != nil {
				return err
			}
			return withSchemas(ctx, cmd, stderr, existing, func(s schema.Store) error { return change.check(ctx, cmd, stdout, s) })
		},
	}
}

// schemaChange is a version that is, or would be, added.
type schemaChange struct {
	of      schema.Subject
	text    []byte
	options schema.AddOptions
}

// readChange reads the arguments and the files that they name.
func readChange(cmd *cli.Command, stdin io.Reader) (*schemaChange, error) {
	if n := cmd.Args().Len(); n < 1 || n > 2 {
		return nil, commandline.Usagef(cmd, "%d arguments: name a topic, and a file or nothing", n)
	}
	of, err := subjectArgument(cmd)
	if err != nil {
		return nil, err
	}
	c := &schemaChange{of: of, options: schema.AddOptions{Mode: schema.Mode(cmd.String("compatibility")), Force: cmd.String("force")}}
	if cmd.IsSet("force") && c.options.Force == "" {
		return nil, commandline.Usagef(cmd, "--force needs a reason, which is kept")
	}
	in := stdin
	if name := cmd.Args().Get(1); name != "" && name != "-" {
		f, err := os.Open(name) //nolint:gosec // the user's own file
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // it is only read
		in = f
	}
	if c.text, err = io.ReadAll(io.LimitReader(in, schema.MaxSchema+1)); err != nil {
		return nil, err
	}
	if name := cmd.String("samples"); name != "" {
		c.options.Samples, err = readSamples(name)
	}
	return c, err
}

// readSamples reads a file with a JSON value on each line.
func readSamples(name string) (samples []json.RawMessage, err error) {
	text, err := os.ReadFile(name) //nolint:gosec // the user's own file
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			samples = append(samples, line)
		}
	}
	return samples, nil
}

func (c *schemaChange) add(ctx context.Context, cmd *cli.Command, stdout io.Writer, s schema.Store) error {
	before, err := s.Versions(ctx, c.of, 0)
	if err != nil {
		return err
	}
	v, err := schema.Add(ctx, s, c.of, c.text, &c.options)
	if incompatible, ok := errors.AsType[*schema.IncompatibleError](err); ok {
		err = fmt.Errorf("%w: change it, choose another --compatibility, or give --force a reason", printDifferences(cmd, stdout, c.of, incompatible.Number, incompatible.Differences))
	}
	if err != nil {
		return err
	}
	added := v.Number > len(before)
	text := "version %d of %s added\n"
	if !added {
		text = "version %d of %s is the same: nothing was added\n"
	}
	return printDone(cmd, stdout, map[string]any{"topic": v.Topic, "type": v.Type, "version": v.Number, "added": added, "forced": v.Forced}, text, v.Number, visibleText(v.String()))
}

func (c *schemaChange) check(ctx context.Context, cmd *cli.Command, stdout io.Writer, s schema.Store) error {
	number, found, err := schema.Compare(ctx, s, c.of, c.text, &c.options)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return printDifferences(cmd, stdout, c.of, number, found)
	}
	return printDone(cmd, stdout, map[string]any{"topic": c.of.Topic, "type": c.of.Type, "version": number, "differences": []schema.Difference{}}, "version %d of %s is compatible\n", number, visibleText(c.of.String()))
}

// printDifferences prints all, and returns the error that sums them up.
func printDifferences(cmd *cli.Command, stdout io.Writer, of schema.Subject, number int, found []schema.Difference) error {
	var err error
	if wantsJSON(cmd) {
		err = printJSON(stdout, map[string]any{"topic": of.Topic, "type": of.Type, "version": number, "differences": found})
	} else {
		for _, d := range found {
			err = errors.Join(err, printLine(stdout, visibleText(d.String())))
		}
	}
	return errors.Join(err, fmt.Errorf("%w: version %d of %s: %d %s", schema.ErrIncompatible, number, of, len(found), pluralNoun(len(found), "difference")))
}

func checkSchemas(ctx context.Context, cmd *cli.Command, stdout io.Writer, s schema.Store) error {
	subjects, err := s.Subjects(ctx)
	if err != nil {
		return err
	}
	if err := schema.Check(ctx, s); err != nil {
		return err
	}
	return printDone(cmd, stdout, map[string]any{"subjects": len(subjects)}, "%d %s, no mistakes\n", len(subjects), pluralNoun(len(subjects), "subject"))
}
