package config

import "github.com/onceish/onceish/worker/internal/command"

// commandField is a line that a shell can be given.
func commandField[S any](name string, at func(*S) *string) *scalarField[S, string] {
	l := nonEmptyField(name, "a command line", at)
	l.command = true
	notEmpty := l.parse
	l.parse = func(s string) (string, error) {
		if s, err := notEmpty(s); err != nil {
			return s, err
		}
		return s, command.CheckLine(s)
	}
	return l
}
