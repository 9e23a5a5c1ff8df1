package config

import (
	"fmt"
	"strings"

	"github.com/onceish/onceish/internal/commandline"
)

// Problem is one thing that is wrong with a configuration. No field ever holds what a secret key or
// a variable holds.
type Problem struct {
	// File is empty for what flags and the environment said.
	File string `json:"file,omitempty"`
	// Line and Column count from 1; 0 where there is no place.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Path is the key, such as subscriptions[0].lease, or the flag or variable, such as --lease.
	// Empty: the whole file.
	Path string `json:"path,omitempty"`
	// Message says what is wrong, and what to try.
	Message string `json:"message"`
	// Warning is what has no effect, or is likely not what was wanted, but can be run.
	Warning bool `json:"warning,omitempty"`
}

// String is "file:line:column: path: message".
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
		if p.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", p.Line, p.Column)
		}
		b.WriteByte(' ')
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	return b.String() + p.Message
}

// Problems are an error that says all of them. It is also commandline.ErrUsage.
type Problems []Problem //nolint:errname // warnings are no errors

// Error is one problem, or one a line.
func (ps Problems) Error() string {
	if len(ps) == 1 {
		return ps[0].String()
	}
	lines := make([]string, 0, len(ps)+1)
	lines = append(lines, fmt.Sprintf("%d mistakes:", len(ps)))
	for _, p := range ps {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n  ")
}

// Unwrap says that it is the user's to mend.
func (Problems) Unwrap() error { return commandline.ErrUsage }

// SplitWarnings parts what cannot be run from warnings.
func (ps Problems) SplitWarnings() (mistakes, warnings Problems) {
	for _, p := range ps {
		if p.Warning {
			warnings = append(warnings, p)
		} else {
			mistakes = append(mistakes, p)
		}
	}
	return mistakes, warnings
}
