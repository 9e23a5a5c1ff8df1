package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/admin"
	"github.com/onceish/onceish/worker/config"
)

// adminSections are what serving the API alone takes of a worker's configuration.
var adminSections = append([]config.Section{config.SectionAdmin}, dlqSections...)

// adminTokenVariable has the token where neither the file nor a flag says what it is.
const adminTokenVariable = "ONCEISH_ADMIN_TOKEN"

func adminCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "admin", Usage: "serve the HTTP API for operators and its dashboard, without handling events",
		Description: `It answers what the other commands print, and does what they do: groups, pauses, dead letters, outboxes, stored events, and what became of one event; see
docs/api.md, and /openapi.json. The URL shows them in a browser. Without a token in $` + adminTokenVariable + ` or --admin-token-file, and without client certificates, it listens at an address of this
machine alone. Its URL is printed on standard output. "worker run --admin ADDRESS" serves it beside a worker.

Examples:
   worker admin
   ` + adminTokenVariable + `=$(cat token) worker admin --admin 0.0.0.0:8488 --admin-hosts billing.example --mongo mongodb://localhost:27017/shop
   worker admin --admin-read-only --group billing

Exit status: 0 ended by a signal, 1 failed, 2 wrong usage.`,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "group", HideDefault: true, Usage: "`GROUP` that /readyz looks at (default: none)"},
		}, config.Flags(adminSections...)),
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return serveAdmin(ctx, cmd, stdout, stderr) },
	}
}

func serveAdmin(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	if err := noArguments(cmd, "name an address by --admin"); err != nil {
		return err
	}
	c, err := config.FromFlags(cmd, adminSections...)
	if err != nil {
		return err
	}
	if c.Admin == nil {
		c.Admin = &config.Admin{Address: config.DefaultAdminAddress}
	}
	log := newLogger(c, stderr)
	limitMemory(log, memlimit.FromCgroup)
	ctx, _, release := worker.Signals(ctx, log)
	defer release()
	return withConnections(ctx, connectOptions(cmd, c, log), func(conns *worker.Connections) error {
		s, err := listenAdmin(ctx, conns, c, &admin.Options{Group: cmd.String("group"), Logger: log})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(stdout, s.URL()+c.Admin.Prefix); err != nil {
			return errors.Join(err, s.Close())
		}
		return s.Serve(ctx)
	})
}

// listenAdmin opens the API's address, with what the configuration adds to the options. It drains
// when ctx ends.
func listenAdmin(ctx context.Context, conns *worker.Connections, all *config.Config, o *admin.Options) (*admin.Server, error) {
	c := all.Admin
	token, err := adminToken(c)
	if err != nil {
		return nil, err
	}
	o.Token, o.ReadOnly, o.Draining = token, c.ReadOnly, ctx.Done()
	if c.Hosts != "" {
		for name := range strings.SplitSeq(c.Hosts, ",") {
			o.Hosts = append(o.Hosts, strings.TrimSpace(name))
		}
	}
	api, err := admin.New(conns, o)
	if err != nil {
		return nil, fmt.Errorf("%w: admin API: %w", commandline.ErrUsage, err)
	}
	return api.Listen(ctx, &admin.ListenOptions{
		Address: c.Address, Prefix: c.Prefix, Certificate: c.TLS.Certificate, Key: c.TLS.Key, ClientCA: c.TLS.ClientCA, Strict: all.Strict,
	})
}

// adminToken is what the file, its own file or the environment says; empty: none is needed.
func adminToken(c *config.Admin) (string, error) {
	switch {
	case c.Token != "" && c.TokenFile != "":
		return "", fmt.Errorf("%w: admin.token and admin.token_file are both set: leave one of them out", commandline.ErrUsage)
	case c.TokenFile == "" && c.Token == "":
		return os.Getenv(adminTokenVariable), nil
	case c.TokenFile == "":
		return c.Token, nil
	}
	text, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return "", fmt.Errorf("the token of the admin API: %w", err)
	}
	token := strings.TrimRight(string(text), "\r\n")
	if token == "" {
		return "", fmt.Errorf("the token of the admin API: %s is empty", c.TokenFile)
	}
	return token, nil
}

// addAdmin serves the API beside a worker, until all else of it has ended, and with it the metrics
// that something else serves.
func addAdmin(ctx context.Context, w *worker.Worker, c *config.Config, metrics http.Handler) error {
	if c.Admin == nil {
		return nil
	}
	s, err := listenAdmin(ctx, w.Connections(), c, &admin.Options{
		Group: w.Group(), Stalled: w.Stalled, Metrics: metrics, Logger: w.Logger(),
	})
	if err != nil {
		return err
	}
	w.Defer(s.Close)
	run, stop := s.Actor()
	w.Add(worker.Actor{Name: "admin API", Run: run, Stop: stop})
	return nil
}
