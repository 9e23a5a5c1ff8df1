package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/embedded"
)

// natsSections are what a command takes of a worker's configuration that uses NATS alone.
var natsSections = []config.Section{config.SectionNATS, config.SectionDataDir, config.SectionLog, config.SectionStrict}

func newLogger(c *config.Config, stderr io.Writer) *slog.Logger {
	return commandline.Logger(stderr, c.Log.Format, c.Log.Level)
}

// connectOptions are to a server of the worker's own where none is named.
func connectOptions(cmd *cli.Command, c *config.Config, log *slog.Logger) *worker.ConnectOptions {
	o := worker.Configured(c)
	o.Name, o.Logger, o.Lease = cmd.FullName(), log, config.ShortestLease(c.Subscriptions)
	o.Embed = func(ctx context.Context, log *slog.Logger) (worker.Embedded, error) {
		return openEmbedded(ctx, c.DataDir, log)
	}
	return o
}

// withConnections calls f with connections, which it closes afterwards.
func withConnections(ctx context.Context, o *worker.ConnectOptions, f func(*worker.Connections) error) (err error) {
	c, err := worker.Connect(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return f(c)
}

// openEmbedded serves, or joins who serves, the data directory: the user's own if none is named.
func openEmbedded(ctx context.Context, dir string, log *slog.Logger) (worker.Embedded, error) {
	if dir == "" {
		var err error
		if dir, err = dataDirectory(); err != nil {
			return nil, err
		}
	}
	s, err := embedded.Open(ctx, dir, log)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func dataDirectory() (string, error) {
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "onceish"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%w: no place for the data of the worker's own server: set --data-dir or --nats: %w", commandline.ErrUsage, err)
	}
	return filepath.Join(home, ".local", "share", "onceish"), nil
}
