package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/cmd/worker/internal/chaos"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

// chaosFileProcess is how this program starts itself as a worker process of a file under chaos.
const chaosFileProcess = "__chaosfile"

// defaultFileRate is how many events a second are published to a user's own workers, which may
// start a process for each.
const defaultFileRate = 20

// chaosFileFlags are those for a user's own workers.
func chaosFileFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, TakesFile: true, HideDefault: true, Usage: "`FILE` of workers of yours, which take the place of those made for this; - is standard input"},
		&cli.StringFlag{Name: "journal", TakesFile: true, HideDefault: true, Usage: "with -c, a `FILE` to which your handlers append a line for each effect, beginning with the event's id"},
		&cli.StringSliceFlag{Name: "topic", HideDefault: true, Usage: "with -c, a `TOPIC` to publish to, more than once for several (default: those of the file)"},
		&cli.StringFlag{Name: "data", HideDefault: true, Usage: "with -c, the events' data, a `TEMPLATE` with {{.ID}}, {{.Key}}, {{.Topic}} and {{.N}}; @FILE: a file with a template in each line (default: " + strings.ReplaceAll(chaos.DefaultData, `"`, "'") + ")"},
	}
}

// chaosFile is what the flags say of a user's own workers. Nil: there is no file.
func chaosFile(cmd *cli.Command) (*chaos.Deployment, error) {
	name := cmd.String("config")
	if name == "" {
		for _, flag := range []string{"journal", "topic", "data"} {
			if cmd.IsSet(flag) {
				return nil, fmt.Errorf("--%s is for workers of yours: name their file with -c", flag)
			}
		}
		return nil, nil //nolint:nilnil // there is none
	}
	for flag, why := range map[string]string{
		"order": "the order is that of the file's subscriptions: leave --order out", "store": "where marks are kept the file says, by mongo.uri: leave --store out", "lease": "the lease is that of the file's subscriptions: leave --lease out",
	} {
		if cmd.IsSet(flag) {
			return nil, fmt.Errorf("--%s does not go with -c: %s", flag, why)
		}
	}
	text, err := readChaosFile(name, cmd.Root().Reader)
	if err != nil {
		return nil, err
	}
	d := &chaos.Deployment{File: name, Text: text, Topics: cmd.StringSlice("topic"), DataFlag: cmd.String("data")}
	if d.Data, err = chaosData(d.DataFlag); err != nil {
		return nil, err
	}
	if j := cmd.String("journal"); j != "" {
		if d.Journal, err = filepath.Abs(j); err != nil {
			return nil, fmt.Errorf("--journal: %w", err)
		}
	}
	return d, nil
}

// readChaosFile reads the file once: all workers get the same.
func readChaosFile(name string, stdin io.Reader) ([]byte, error) {
	if name == config.StandardInput {
		return io.ReadAll(stdin)
	}
	text, err := os.ReadFile(name) //nolint:gosec // the user's own file
	if err != nil {
		return nil, fmt.Errorf("-c: %w", err)
	}
	return text, nil
}

// chaosData are the templates that a flag names.
func chaosData(flag string) (templates []string, err error) {
	name, isFile := strings.CutPrefix(flag, "@")
	if !isFile {
		if flag != "" {
			templates = []string{flag}
		}
		return templates, nil
	}
	text, err := os.ReadFile(name) //nolint:gosec // the user's own file
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			templates = append(templates, string(line))
		}
	}
	if len(templates) == 0 {
		return nil, fmt.Errorf("--data: %s has no lines", name)
	}
	return templates, nil
}

// serveChaosFile is a worker process of a file, as worker run is.
func serveChaosFile(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	return chaos.WorkDeployment(ctx, stdin, stderr, func(ctx context.Context, p *chaos.WorkerProcess) error {
		return worker.Serve(ctx, p.Config.Group, p.Connect, p.Options, func(ctx context.Context, w *worker.Worker) error {
			s := &workerBuilder{worker: w, stdout: stdout, stderr: stderr, drain: p.Config.Drain, env: p.Env, watch: p.Watch}
			return s.addConfigured(ctx, p.Config)
		})
	})
}
