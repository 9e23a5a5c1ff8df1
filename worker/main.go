package worker

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
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
			if cmd.Args().Present() {
				return commandline.Usagef(cmd, "%q is too much", cmd.Args().First())
			}
			log := commandline.Logger(stderr, cmd.String("log-format"), cmd.String("log-level"))
			return Serve(ctx, group, &ConnectOptions{
				NATS: cmd.String("nats"), Credentials: cmd.String("nats-creds"), Mongo: cmd.String("mongo"), Provision: cmd.Bool("provision"),
				Name: cmd.FullName(), Logger: log,
			}, &Options{Drain: cmd.Duration("drain"), UntilEmpty: cmd.Bool("until-empty"), Logger: log}, setup)
		},
	}
}

func mainFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "nats", Sources: cli.EnvVars("NATS_URL"), HideDefault: true, Usage: "`URL` of the NATS server"},
		&cli.StringFlag{Name: "nats-creds", Sources: cli.EnvVars("NATS_CREDS"), HideDefault: true, Usage: "`FILE` with the credentials of a NATS user", TakesFile: true},
		&cli.StringFlag{Name: "mongo", Sources: cli.EnvVars("MONGODB_URI"), HideDefault: true, Usage: "`URI` of the MongoDB that remembers what was handled; without one, a key-value bucket in NATS does"},
		&cli.BoolFlag{Name: "provision", HideDefault: true, Usage: "make streams that are missing"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "text or json, on standard error", Validator: commandline.OneOf("text", "json")},
		&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error", Validator: commandline.OneOf("debug", "info", "warn", "error")},
		&cli.DurationFlag{Name: "drain", Value: 25 * time.Second, Usage: "how long running handlers may take to finish at the end"},
		&cli.BoolFlag{Name: "until-empty", HideDefault: true, Usage: "end when everything on the topics is settled, retries included"},
	}
}
