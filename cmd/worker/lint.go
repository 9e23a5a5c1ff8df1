package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker/config"
)

func lintCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "lint",
		Usage:     "check files that worker run reads",
		ArgsUsage: "FILE|-…",
		Description: `It tells every mistake at once, with its place, on standard output: what the file says, what shows only across keys,
variables that are not set, and schemas of events that are in a folder. No server is asked. worker run refuses what it refuses. A - is standard input.

Examples:
   worker lint worker.yaml
   worker lint -o json deploy/*.yaml | jq -r '.problems[].message'
   envsubst < worker.yaml.in | worker lint -

Exit status: 0 no mistakes, 1 mistakes, 2 wrong usage.`,
		Flags:        outputFlags(),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return lintFiles(ctx, cmd, stdout) },
	}
}

func lintFiles(ctx context.Context, cmd *cli.Command, stdout io.Writer) error {
	files := cmd.Args().Slice()
	if len(files) == 0 {
		return commandline.Usagef(cmd, "name a file, such as worker.yaml")
	}
	found := config.Problems{}
	for _, name := range files {
		c, problems := config.Read(name, cmd.Root().Reader, os.LookupEnv)
		found = append(found, problems...)
		if mistakes, _ := problems.SplitWarnings(); len(mistakes) == 0 {
			found = append(found, lintSchemas(ctx, name, c)...)
		}
	}
	if err := printProblems(cmd, stdout, len(files), found); err != nil {
		return err
	}
	if mistakes, _ := found.SplitWarnings(); len(mistakes) > 0 {
		return fmt.Errorf("%d %s", len(mistakes), pluralNoun(len(mistakes), "mistake"))
	}
	return nil
}

func printProblems(cmd *cli.Command, stdout io.Writer, files int, found config.Problems) error {
	if wantsJSON(cmd) {
		return printJSON(stdout, struct {
			Files    int             `json:"files"`
			Problems config.Problems `json:"problems"`
		}{files, found})
	}
	for _, p := range found {
		if _, err := fmt.Fprintln(stdout, p); err != nil {
			return err
		}
	}
	if len(found) == 0 && !cmd.Bool("quiet") {
		_, err := fmt.Fprintf(stdout, "%d %s, no mistakes\n", files, pluralNoun(files, "file"))
		return err
	}
	return nil
}
