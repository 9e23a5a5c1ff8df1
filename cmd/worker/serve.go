package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

var serveSections = []config.Section{config.SectionDataDir, config.SectionLog}

func serveCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run a NATS server for this machine only, until a signal",
		Description: `It is the server that the other commands run for themselves where none is named: for trying things out, and for
workers of your own. Its URL, password included, is printed on standard output.

Example:
   worker serve > url &
   NATS_URL=$(cat url) go run ./examples/worker --provision`,
		Flags:        config.Flags(serveSections...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Present() {
				return commandline.Usagef(cmd, "unexpected argument %q", cmd.Args().First())
			}
			c, err := config.FromFlags(cmd, serveSections...)
			if err != nil {
				return err
			}
			log := newLogger(c, stderr)
			ctx, _, release := worker.Signals(ctx, log)
			defer release()
			s, err := openEmbedded(ctx, c.DataDir, log)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(stdout, s.URL()); err != nil {
				return errors.Join(err, s.Close())
			}
			<-ctx.Done()
			return s.Close()
		},
	}
}
