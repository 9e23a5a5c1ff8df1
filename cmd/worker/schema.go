package main

import (
	"context"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker/config"
)

func schemaCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "schema",
		Usage: "print the JSON Schema of the files that worker run reads",
		Description: `Editors complete and check a file that names its schema in the first line.

Example:
   worker schema > worker.schema.json
   # worker.yaml: # yaml-language-server: $schema=worker.schema.json`,
		OnUsageError: commandline.UsageError,
		Action: func(context.Context, *cli.Command) error {
			_, err := stdout.Write(config.Schema())
			return err
		},
	}
}
