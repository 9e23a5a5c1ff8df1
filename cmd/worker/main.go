package main

import (
	"context"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/cmd/worker/internal/bench"
	"github.com/onceish/onceish/cmd/worker/internal/chaos"
	"github.com/onceish/onceish/cmd/worker/internal/demo"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	exechandler "github.com/onceish/onceish/worker/handlers/exec"
)

func main() {
	os.Exit(execArgs(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// guardCommand is how this program starts itself to end commands should it die.
const guardCommand = "__guard"

// serverProcess is how this program starts a NATS server of its own in another process.
const serverProcess = "__server"

// execArgs runs a command line and returns its exit status: 0 done or drained, 1 failed, 2 wrong
// usage, 3 drain incomplete, 4 not all events done.
func execArgs(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 2 && args[1] == guardCommand:
		err = exechandler.KeepGuard(stdin, stderr)
	case len(args) == 2 && args[1] == demoProcess:
		err = demo.Work(ctx, stdin, stderr)
	case len(args) == 2 && args[1] == benchProcess:
		err = bench.Work(ctx, stdin, stdout, stderr)
	case len(args) == 2 && args[1] == chaosProcess:
		err = chaos.Work(ctx, stdin, stderr)
	case len(args) == 2 && args[1] == chaosFileProcess:
		err = serveChaosFile(ctx, stdin, stdout, stderr)
	case len(args) == 2 && args[1] == serverProcess:
		err = testbed.Serve(ctx, stdin, stdout, stderr)
	default:
		err = rootCommand(stdin, stdout, stderr).Run(ctx, args)
	}
	if err != nil {
		commandline.PrintFailure(stderr, "worker", err)
	}
	return worker.ExitStatus(err)
}

func rootCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "worker",
		Usage:     "handle each event once: run commands, call endpoints, publish",
		UsageText: "worker command [options]",
		Version:   commandline.Version(),
		Description: `Without --nats it runs a NATS server of its own, for this machine only, under a data directory.
Without --mongo it remembers what was handled in NATS.

Examples:
   worker demo
   printf '{"id":"1","total":42}\n' | worker publish order.placed
   worker run --topic order.placed --group billing --exec 'jq .total'
   worker lint worker.yaml && worker run -c worker.yaml

Exit status: 0 done or drained, 1 failed, 2 wrong usage, 3 drain incomplete, 4 not all events done.`,
		Commands:              commands(stdin, stdout, stderr),
		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden = false
			c.Usage = "print a script that completes commands in bash, zsh, fish or pwsh"
		},
		Reader:          stdin,
		Writer:          stdout,
		ErrWriter:       stderr,
		HideHelpCommand: true,
		OnUsageError:    commandline.UsageError,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {},
		Action:          showHelp,
	}
}

func commands(stdin io.Reader, stdout, stderr io.Writer) []*cli.Command {
	return []*cli.Command{
		demoCommand(stdout, stderr),
		benchCommand(stdout, stderr),
		chaosCommand(stdout, stderr),
		publishCommand(stdout, stderr),
		runCommand(stdout, stderr),
		lintCommand(stdout),
		schemaCommand(stdin, stdout, stderr),
		provisionCommand(stdin, stdout, stderr),
		sizeCommand(stdout),
		tailCommand(stdout, stderr),
		exportCommand(stdout, stderr),
		importCommand(stdout, stderr),
		replayCommand(stdin, stdout, stderr),
		groupLagCommand(stdout, stderr),
		explainCommand(stdout, stderr),
		dlqCommand(stdin, stdout, stderr),
		deferredCommand(stdin, stdout, stderr),
		projectCommand(stdin, stdout, stderr),
		outboxCommand(stdin, stdout, stderr),
		scheduledCommand(stdout, stderr),
		groupsCommand(stdin, stdout, stderr),
		statusCommand(stdout, stderr),
		membersCommand(stdout, stderr),
		limitsCommand(stdout, stderr),
		pauseCommand(stdout, stderr),
		resumeCommand(stdout, stderr),
		adminCommand(stdout, stderr),
		healthCommand(stdout, stderr),
		serveCommand(stdout, stderr),
		versionCommand(stdout),
		helpCommand(stdout),
	}
}
