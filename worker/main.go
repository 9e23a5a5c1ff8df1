package worker

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker/config"
)

// Main is the main function of a worker binary: it reads flags and environment, connects, calls setup, runs until SIGTERM or SIGINT,
// drains, closes and exits: 0 drained, 1 failed, 2 wrong usage, 3 drain incomplete. --help lists the flags and their variables
// (NATS_URL, MONGODB_URI, …). It needs a NATS server, and keeps marks in MongoDB, or without one in NATS.
//
// It does not return. Execute is the same for tests.
func Main(group string, setup Setup) {
	os.Exit(Execute(context.Background(), group, os.Args, os.Stdout, os.Stderr, setup)) //nolint:revive // it is the main function of its caller
}

// Execute is Main without the end of the process: it returns the exit status. args are as in os.Args. While it runs, SIGTERM and SIGINT
// are caught; the end of ctx does what the first of them does.
func Execute(ctx context.Context, group string, args []string, stdout, stderr io.Writer, setup Setup) int {
	name := group
	if len(args) > 0 {
		name = filepath.Base(args[0])
	}
	err := command(name, group, stdout, stderr, setup).Run(ctx, args)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", name, err) // nobody else to tell
	}
	return ExitStatus(err)
}

func command(name, group string, stdout, stderr io.Writer, setup Setup) *cli.Command {
	return &cli.Command{
		Name:      name,
		Usage:     fmt.Sprintf("handle each event once for the group %q", group),
		UsageText: name + " [options]",
		Description: `SIGTERM and SIGINT let what runs finish; a second one does not.
Exit status: 0 drained, 1 failed, 2 wrong usage, 3 drain incomplete.`,
		Version:         commandline.Version(),
		Flags:           mainFlags(),
		Writer:          stdout,
		ErrWriter:       stderr,
		HideHelpCommand: true,
		OnUsageError:    commandline.UsageError,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return serveFlags(ctx, cmd, group, stderr, setup)
		},
	}
}

// mainSections are what a worker binary takes of a worker's configuration: it says itself what it handles.
var mainSections = []config.Section{config.SectionNATS, config.SectionMongo, config.SectionDrain, config.SectionLog}

func mainFlags() []cli.Flag {
	return append(config.Flags(mainSections...), &cli.BoolFlag{
		Name: "until-empty", HideDefault: true, Usage: "end when everything on the topics is settled, retries included",
	})
}

func serveFlags(ctx context.Context, cmd *cli.Command, group string, stderr io.Writer, setup Setup) error {
	if cmd.Args().Present() {
		return commandline.Usagef(cmd, "%q is too much", cmd.Args().First())
	}
	c, err := config.FromFlags(cmd, mainSections...)
	if err != nil {
		return err
	}
	log := commandline.Logger(stderr, c.Log.Format, c.Log.Level)
	o := Configured(c)
	o.Name, o.Logger = cmd.FullName(), log
	return Serve(ctx, group, o, &Options{Drain: c.Drain, UntilEmpty: cmd.Bool("until-empty"), Logger: log}, setup)
}
