package commandline

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// A flag that does not exist is answered with the one that was likely meant, if there is one.
func TestUnknownFlagsNameTheirNearest(t *testing.T) {
	t.Parallel()
	var flags []cli.Flag
	for _, name := range []string{"backoff-base", "backoff-max", "concurrency", "nats", "o"} {
		flags = append(flags, &cli.StringFlag{Name: name})
	}
	for flag, want := range map[string]string{
		"--backof": "did you mean --backoff-base or --backoff-max? See worker --help",
		"--nts":    "did you mean --nats? See worker --help", "-nats-": "did you mean --nats?",
		"--concurency=3": "did you mean --concurrency?",
		"--banana":       "not defined: -banana: see worker --help",
		"-b":             "not defined: -b: see worker --help",
	} {
		cmd := &cli.Command{
			Name: "worker", Flags: flags, OnUsageError: UsageError,
			Writer: io.Discard, ErrWriter: io.Discard,
		}
		err := cmd.Run(t.Context(), []string{"worker", flag})
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", flag, err, want)
		}
	}
}
