package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/worker"
)

// helpCommand shows the help of the command that it belongs to, which the path names, or of
// one below it.
func helpCommand(stdout io.Writer, path ...string) *cli.Command {
	return &cli.Command{
		Name: "help", Aliases: []string{"h"}, Usage: "show help, of all or of one command", ArgsUsage: "[COMMAND…]", HideHelp: true,
		Action: func(_ context.Context, cmd *cli.Command) error {
			whole := slices.Concat(path, cmd.Args().Slice())
			at := cmd.Root()
			for _, name := range whole {
				below := at.Command(name)
				if below == nil {
					return unknownCommand(at, name)
				}
				at = below
			}
			again := rootCommand(nil, stdout, io.Discard)
			return again.Run(context.Background(), slices.Concat([]string{again.Name}, whole, []string{"--help"}))
		},
	}
}

// showHelp is what a command does that has others below it, when none of them is named.
func showHelp(_ context.Context, cmd *cli.Command) error {
	switch name := cmd.Args().First(); {
	case name != "":
		return unknownCommand(cmd, name)
	case cmd == cmd.Root():
		return cli.ShowRootCommandHelp(cmd)
	}
	return cli.ShowSubcommandHelp(cmd)
}

// unknownCommand is the error of a name that no command has.
func unknownCommand(cmd *cli.Command, name string) error {
	hint := fmt.Sprintf("see %s --help", cmd.FullName())
	if near := cli.SuggestCommand(cmd.Commands, name); near != "" {
		hint = fmt.Sprintf("did you mean %q? See %s --help", near, cmd.FullName())
	}
	return fmt.Errorf("%w: there is no command %q: %s", worker.ErrUsage, name, hint)
}
