package config

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/onceish/onceish/internal/redact"
)

// othersMayRead are the bits of a file's mode by which everybody reads or writes it.
const othersMayRead = 0o006

func strictField() field[Config] {
	return boolField("strict", func(c *Config) *bool { return &c.Strict }).
		withFlag("strict", "").fromEnv("ONCEISH_STRICT").
		describedAs("refuse what lets others read secrets: connections without TLS that leave this machine, passwords on the command line, and files of secrets that everybody may read; without it the first is logged")
}

// noteSecret notes files with secrets, and passwords that everybody on this machine sees, for
// checkStrict.
func (r *configReader) noteSecret(at, text string, info *fieldInfo) {
	if info.secretFile && text != "" {
		r.secretFiles[at] = text
	}
	if info.secret && strings.HasPrefix(r.origins[at].label, "--") && redact.Secret(text) {
		r.secretFlags = append(r.secretFlags, at)
	}
}

// checkStrict refuses passwords on the command line, and files of secrets that everybody may read.
// What is wrong with a file otherwise says whoever reads it.
func (c *Config) checkStrict(r *configReader) {
	if !c.Strict {
		return
	}
	for _, at := range r.secretFlags {
		advice := "write it in a file"
		if s := fieldAt(at); s != nil && s.env != "" {
			advice = "set " + s.env + " instead"
		}
		r.reportMistake(at, "it holds a password, and everybody on this machine can read a command line: %s, or leave --strict out", advice)
	}
	for _, at := range slices.Sorted(maps.Keys(r.secretFiles)) {
		if found, err := os.Stat(r.secretFiles[at]); err == nil && found.Mode().IsRegular() && found.Mode().Perm()&othersMayRead != 0 {
			r.reportMistake(at, "everybody on this machine may read the file, or write to it (its mode is %#o): take that away with chmod o-rwx, or leave strict out", found.Mode().Perm())
		}
	}
}
