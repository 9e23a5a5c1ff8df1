package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/demo"
	"github.com/onceish/onceish/worker/handlers"
)

func main() {
	os.Exit(exec(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// guardCommand is how this program starts itself to end commands should it die.
const guardCommand = "__guard"

// exec runs a command line and returns its exit status: 0 done or drained, 1 failed, 2 wrong usage, 3 drain incomplete.
func exec(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 2 && args[1] == guardCommand:
		err = handlers.KeepGuard(stdin, stderr)
	case len(args) == 2 && args[1] == demoProcess:
		err = demo.Work(ctx, stdin, stderr)
	default:
		err = root(stdin, stdout, stderr).Run(ctx, args)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "worker: %v\n", err) // nobody else to tell
	}
	return worker.ExitStatus(err)
}

func root(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "worker",
		Usage:     "publish events, and run a command once for each",
		UsageText: "worker command [options]",
		Version:   version(),
		Description: `Without --nats it runs a NATS server of its own, for this machine only, under a data directory.
Without --mongo it remembers what was handled in NATS.

Examples:
   printf '{"id":"1","total":42}\n' | worker publish order.placed
   worker run --topic order.placed --group billing --exec 'jq .total'

Exit status: 0 done or drained, 1 failed, 2 wrong usage, 3 drain incomplete.`,
		Commands:        []*cli.Command{publishCommand(stderr), runCommand(stdout, stderr), demoCommand(stdout, stderr)},
		Reader:          stdin,
		Writer:          stdout,
		ErrWriter:       stderr,
		HideHelpCommand: true,
		OnUsageError:    usageError,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {},
		Action:          noCommand,
	}
}

// noCommand is called when the first argument is no command.
func noCommand(_ context.Context, cmd *cli.Command) error {
	name := cmd.Args().First()
	if name == "" {
		return cli.ShowRootCommandHelp(cmd)
	}
	hint := "see worker --help"
	if near := cli.SuggestCommand(cmd.Commands, name); near != "" {
		hint = fmt.Sprintf("did you mean %q? See worker --help", near)
	}
	return fmt.Errorf("%w: there is no command %q: %s", worker.ErrUsage, name, hint)
}

func usageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	if errors.Is(err, worker.ErrUsage) {
		return err
	}
	return fmt.Errorf("%w: %w: see %s --help", worker.ErrUsage, err, cmd.FullName())
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
