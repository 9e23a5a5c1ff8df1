package config

import (
	"fmt"
	"strings"
)

// maxCommandBytes is what Linux takes as one argument, in bytes.
const maxCommandBytes = 128<<10 - 1

// commandField is a line that a shell can be given.
func commandField[S any](name string, at func(*S) *string) *scalarField[S, string] {
	l := nonEmptyField(name, "a command line", at)
	l.command = true
	notEmpty := l.parse
	l.parse = func(s string) (string, error) {
		if err := validCommand(s); err != nil {
			return "", err
		}
		return notEmpty(s)
	}
	return l
}

// validCommand refuses what the handler would refuse.
func validCommand(s string) error {
	switch i := strings.IndexByte(s, 0); {
	case i >= 0:
		return fmt.Errorf("it has a NUL at byte %d, and a command line cannot hold one: put what needs it into a file, and run that", i)
	case len(s) > maxCommandBytes:
		return fmt.Errorf("it has %d bytes, and the system takes %d: put it into a file, and run that", len(s), maxCommandBytes)
	}
	return nil
}
