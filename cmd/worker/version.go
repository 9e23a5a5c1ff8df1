package main

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
)

func versionCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:         "version",
		Usage:        "print the version",
		Flags:        outputFlags()[:1],
		OnUsageError: commandline.UsageError,
		Action: func(_ context.Context, cmd *cli.Command) error {
			v := struct {
				Version  string `json:"version"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{commandline.Version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if wantsJSON(cmd) {
				return printJSON(stdout, v)
			}
			_, err := fmt.Fprintf(stdout, "worker %s, %s, %s\n", v.Version, v.Go, v.Platform)
			return err
		},
	}
}
