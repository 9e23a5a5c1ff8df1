package commandline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v3"
)

// ErrUsage is returned when what was asked for makes no sense: exit status 2.
var ErrUsage = errors.New("wrong usage")

// UsageError is a cli.OnUsageErrorFunc: it says where help is.
func UsageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	if errors.Is(err, ErrUsage) {
		return err
	}
	return fmt.Errorf("%w: %w: see %s --help", ErrUsage, err, cmd.FullName())
}

// Usagef is a UsageError about a command.
func Usagef(cmd *cli.Command, format string, args ...any) error {
	return UsageError(context.Background(), cmd, fmt.Errorf(format, args...), true)
}

// OneOf is a flag's Validator.
func OneOf(values ...string) func(string) error {
	return func(s string) error {
		if slices.Contains(values, s) {
			return nil
		}
		return fmt.Errorf("%q is none of %q", s, values)
	}
}

// Positive is a flag's Validator.
func Positive(n int) error {
	if n <= 0 {
		return fmt.Errorf("%d is not positive", n)
	}
	return nil
}
