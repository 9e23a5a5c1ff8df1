package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/schema"
	"github.com/onceish/onceish/worker/config"
)

func schemaCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "schema",
		Usage: "look after schemas of events; alone: print that of the files that worker run reads",
		Description: `The events of one type on a topic have a JSON Schema with versions. They are in a bucket of the NATS server, or with --schemas in a folder,
for which no server is needed. worker run checks events whose subscription has schema:, and worker publish --schemas refuses invalid lines.

Without a command it prints the JSON Schema of the worker's own files: editors complete and check a file that names it in its first line.

Examples:
   worker schema add order.placed order.json
   worker schema check --schemas ./schemas
   worker schema check --schemas ./schemas order.placed order.json
   worker schema export > asyncapi.json
   worker schema > worker.schema.json
   # worker.yaml: # yaml-language-server: $schema=worker.schema.json

Exit status: 0 done, 1 failed, or something is wrong with the schemas, 2 wrong usage.`,
		Commands: []*cli.Command{
			addSchemaCommand(stdin, stdout, stderr), checkSchemaCommand(stdin, stdout, stderr), listSchemasCommand(stdout, stderr),
			showSchemaCommand(stdout, stderr), exportSchemasCommand(stdout, stderr), helpCommand(stdout, "schema"),
		},
		OnUsageError: commandline.UsageError,
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd, "see worker schema --help"); err != nil {
				return err
			}
			_, err := stdout.Write(config.Schema())
			return err
		},
	}
}

// schemaSections are what looking after schemas takes of a worker's configuration.
var schemaSections = append([]config.Section{config.SectionSchemas}, natsSections...)

// schemaFlags are those of all commands about schemas.
func schemaFlags(more ...cli.Flag) []cli.Flag {
	return slices.Concat(more, outputFlags(), config.Flags(schemaSections...))
}

func typeFlag() cli.Flag {
	return &cli.StringFlag{Name: "type", Usage: "`TYPE` of the events (default: the topic)", HideDefault: true}
}

// schemaChangeFlags are those of a version that is, or would be, added.
func schemaChangeFlags() []cli.Flag {
	return []cli.Flag{
		typeFlag(),
		&cli.StringFlag{
			Name: "compatibility", HideDefault: true, Usage: "`MODE`: none, or whom the version must read (backward), be read by (forward) or both (full): the version before, or all with -transitive at its end (default: that of the version before, or backward)",
			Validator: func(mode string) error { return schema.Mode(mode).Validate() },
		},
		&cli.StringFlag{Name: "samples", TakesFile: true, Usage: "`FILE` with data of valid events, one a line, to test upcasters with", HideDefault: true},
	}
}

// subjectArgument is that of the first argument and --type.
func subjectArgument(cmd *cli.Command) (schema.Subject, error) {
	s := schema.Subject{Topic: cmd.Args().First(), Type: cmd.String("type")}.WithDefaults()
	if err := s.Validate(); err != nil {
		return s, commandline.Usagef(cmd, "%w", err)
	}
	return s, nil
}

func listSchemasCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "show what has a schema",
		Description: `Example:
   worker schema list -o json | jq -r '.subjects[] | select(.compatibility == "none") | .topic'`,
		Flags:        schemaFlags(),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd, "it lists all; see worker schema show for one"); err != nil {
				return err
			}
			return withSchemas(ctx, cmd, stderr, existing, func(s schema.Store) error { return listSchemas(ctx, cmd, stdout, s) })
		},
	}
}

func showSchemaCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "print a schema", ArgsUsage: "TOPIC",
		Description: `It prints the text of the newest version; with -o json the version with its mode, samples and when it was added.

Example:
   worker schema show order.placed --number 2`,
		Flags:        schemaFlags(typeFlag(), &cli.IntFlag{Name: "number", Usage: "the version `N` (default: the newest)", HideDefault: true, Validator: commandline.Positive}),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if n := cmd.Args().Len(); n != 1 {
				return commandline.Usagef(cmd, "%d arguments: name one topic", n)
			}
			of, err := subjectArgument(cmd)
			if err != nil {
				return err
			}
			return withSchemas(ctx, cmd, stderr, existing, func(s schema.Store) error { return showSchema(ctx, cmd, stdout, s, of) })
		},
	}
}

func exportSchemasCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "print an AsyncAPI document of topics and schemas",
		Description: `It is AsyncAPI 3.0, in JSON, with the newest schema of each type.

Example:
   worker schema export --title Orders > asyncapi.json`,
		Flags: schemaFlags(
			&cli.StringFlag{Name: "title", Usage: "`TITLE` of the document", Value: "Events"},
			&cli.StringFlag{Name: "document-version", Usage: "`VERSION` of the document", Value: "1"},
		),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd, "it exports all"); err != nil {
				return err
			}
			return withSchemas(ctx, cmd, stderr, existing, func(s schema.Store) error {
				text, err := schema.AsyncAPI(ctx, s, &schema.AsyncAPIOptions{Title: cmd.String("title"), Version: cmd.String("document-version")})
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(stdout, string(text))
				return err
			})
		},
	}
}
