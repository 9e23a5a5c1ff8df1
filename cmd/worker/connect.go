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

	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/embedded"
)

// connectFlags are the flags of every command that talks to a server. Help never shows what the environment has for them.
func connectFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "nats", Sources: cli.EnvVars("NATS_URL"), HideDefault: true,
			Usage: "`URL` of the NATS server; without one, a server of its own"},
		&cli.StringFlag{Name: "nats-creds", Sources: cli.EnvVars("NATS_CREDS"), HideDefault: true,
			Usage: "`FILE` with the credentials of a NATS user", TakesFile: true},
		&cli.StringFlag{Name: "data-dir", Sources: cli.EnvVars("ONCEISH_DATA_DIR"), HideDefault: true,
			Usage: "`DIRECTORY` of the worker's own server (default: $XDG_DATA_HOME/onceish or ~/.local/share/onceish)"},
		&cli.BoolFlag{Name: "provision", HideDefault: true,
			Usage: "make streams that are missing; on the worker's own server they always are"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "text or json, on standard error", Validator: oneOf("text", "json")},
		&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error", Validator: oneOf("debug", "info", "warn", "error")},
	}
}

func mongoFlag() cli.Flag {
	return &cli.StringFlag{Name: "mongo", Sources: cli.EnvVars("MONGODB_URI"), HideDefault: true,
		Usage: "`URI` of the MongoDB that remembers what was handled; without one, a key-value bucket in NATS does"}
}

func oneOf(values ...string) func(string) error {
	return func(s string) error {
		for _, v := range values {
			if s == v {
				return nil
			}
		}
		return fmt.Errorf("%q is none of %q", s, values)
	}
}

func logger(cmd *cli.Command, stderr io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cmd.String("log-level"))) // it was validated
	o := &slog.HandlerOptions{Level: level}
	if cmd.String("log-format") == "json" {
		return slog.New(slog.NewJSONHandler(stderr, o))
	}
	return slog.New(slog.NewTextHandler(stderr, o))
}

// connected calls f with connections, which it closes afterwards.
func connected(ctx context.Context, cmd *cli.Command, log *slog.Logger, f func(*worker.Connections) error) (err error) {
	c, err := worker.Connect(ctx, &worker.ConnectOptions{
		NATS: cmd.String("nats"), Credentials: cmd.String("nats-creds"), Mongo: cmd.String("mongo"),
		Provision: cmd.Bool("provision"), Name: cmd.FullName(), Logger: log,
		Embed: func(ctx context.Context, log *slog.Logger) (worker.Embedded, error) {
			dir, err := dataDirectory(cmd.String("data-dir"))
			if err != nil {
				return nil, err
			}
			s, err := embedded.Open(ctx, dir, log)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return f(c)
}

func dataDirectory(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "onceish"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%w: no place for the data of the worker's own server: set --data-dir or --nats: %w", worker.ErrUsage, err)
	}
	return filepath.Join(home, ".local", "share", "onceish"), nil
}
