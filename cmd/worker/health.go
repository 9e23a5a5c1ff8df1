package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/internal/redact"
	"github.com/onceish/onceish/worker/config"
)

// defaultHealthURL is where a worker answers whose API has the default address.
const defaultHealthURL = "http://" + config.DefaultAdminAddress + "/livez"

// maxHealthAnswer is how much of an answer is shown, in bytes.
const maxHealthAnswer = 16 << 10

func healthCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "health", Usage: "ask a worker that serves the HTTP API whether it is well, for health checks of containers", ArgsUsage: "[URL]",
		Description: `It asks URL, ` + defaultHealthURL + ` by default, and prints the answer. /livez answers whether a restart would help, /readyz whether
servers answer and there is progress.

Examples:
   worker health
   worker health http://127.0.0.1:8488/readyz

Exit status: 0 it is well, 1 it is not or does not answer, 2 wrong usage.`,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "timeout", Value: 3 * time.Second, Usage: "how long the answer may take"},
		},
		OnUsageError: commandline.UsageError,
		Action:       func(ctx context.Context, cmd *cli.Command) error { return askHealth(ctx, cmd, stdout, stderr) },
	}
}

func askHealth(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer) error {
	if cmd.Args().Len() > 1 {
		return commandline.Usagef(cmd, "unexpected argument %q", cmd.Args().Get(1))
	}
	at := defaultHealthURL
	if cmd.Args().Present() {
		at = cmd.Args().First()
	}
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return commandline.Usagef(cmd, "%s is no URL: it must be one such as %s", redact.URL(at), defaultHealthURL)
	}
	timeout := cmd.Duration("timeout")
	if timeout <= 0 {
		return commandline.Usagef(cmd, "--timeout: %v must be above 0", timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, answer, err := fetchHealth(ctx, u)
	if err != nil {
		return fmt.Errorf("the worker does not answer: %w", err)
	}
	if status != http.StatusOK {
		fmt.Fprintln(stderr, answer)
		return fmt.Errorf("the worker is not well: %s answers %d", u.Redacted(), status)
	}
	_, err = fmt.Fprintln(stdout, answer)
	return err
}

// fetchHealth asks once, without a proxy: the worker is near.
func fetchHealth(ctx context.Context, u *url.URL) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return 0, "", err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxHealthAnswer))
	return resp.StatusCode, strings.TrimSpace(string(text)), errors.Join(err, resp.Body.Close())
}
