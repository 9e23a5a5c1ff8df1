package commandline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// ErrUsage is returned when what was asked for makes no sense: exit status 2.
var ErrUsage = errors.New("wrong usage")

// UsageError is a cli.OnUsageErrorFunc: it says where help is.
func UsageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	if errors.Is(err, ErrUsage) {
		return err
	}
	if near := flagsMeant(cmd, err); near != "" {
		return fmt.Errorf("%w: %w: did you mean %s? See %s --help",
			ErrUsage, err, near, cmd.FullName())
	}
	return fmt.Errorf("%w: %w: see %s --help", ErrUsage, err, cmd.FullName())
}

// undefinedFlag is what the cli package says of a flag that a command does not have, before the
// flag's name.
const undefinedFlag = "flag provided but not defined: -"

// flagsMeant are the flags of a command that were likely meant by one that it does not have: the
// nearest, or the few that begin like it. Empty: there are none, or the error is about something
// else.
func flagsMeant(cmd *cli.Command, err error) string {
	name, ok := strings.CutPrefix(err.Error(), undefinedFlag)
	if !ok {
		return ""
	}
	name = strings.TrimLeft(name, "-")
	var valid, longer []string
	for _, f := range cmd.Flags {
		for _, n := range f.Names() {
			if len(n) > 1 {
				valid = append(valid, n)
			}
			if strings.HasPrefix(n, name) {
				longer = append(longer, "--"+n)
			}
		}
	}
	if near := Nearest(name, valid); near != "" {
		return "--" + near
	}
	if len(name) > 2 && len(longer) <= 3 {
		return strings.Join(longer, " or ")
	}
	return ""
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
