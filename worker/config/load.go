package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/urfave/cli/v3"
)

// maxFileBytes is the longest file.
const maxFileBytes = 1 << 20

// StandardInput is the name of a file that is read from standard input.
const StandardInput = "-"

// Load returns the configuration that a command's flags, the environment and a file say, in this
// precedence. Without a name there is no file, and flags say what the one subscription is.
// StandardInput is what cmd's root reads. cmd has the flags of all sections. Errors are Problems,
// all at once, or which flags make no sense beside a file; both are commandline.ErrUsage. Warnings
// are for the log.
func Load(cmd *cli.Command, name string) (_ *Config, warnings Problems, err error) {
	over := overridesFromFlags(cmd, allSections())
	var data []byte
	if name != "" {
		if err := rejectFlagsBesideFile(over); err != nil {
			return nil, nil, err
		}
		var problem *Problem
		if data, problem = readFile(name, cmd.Root().Reader); problem != nil {
			return nil, nil, Problems{*problem}
		}
	}
	c, problems := parseConfig(newConfigReader(name, os.LookupEnv, over), data, allSections())
	mistakes, warnings := problems.SplitWarnings()
	if len(mistakes) > 0 {
		return nil, warnings, mistakes
	}
	return c, warnings, nil
}

// FromFlags returns what a command's flags and the environment say of some sections; the others are
// left empty. Errors are Problems.
func FromFlags(cmd *cli.Command, wanted ...Section) (*Config, error) {
	c, problems := parseConfig(newConfigReader("", os.LookupEnv, overridesFromFlags(cmd, wanted)), nil, wanted)
	if mistakes, _ := problems.SplitWarnings(); len(mistakes) > 0 {
		return nil, mistakes
	}
	return c, nil
}

// Parse returns the configuration that a file and the environment say, and all that is wrong with
// it, in the order of the file. name is for messages. The Config is nil if there are mistakes;
// warnings may come with one.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, Problems) {
	if name == "" {
		name = "worker.yaml"
	}
	c, problems := parseConfig(newConfigReader(name, env, overridesFromEnv(env)), data, allSections())
	if mistakes, _ := problems.SplitWarnings(); len(mistakes) > 0 {
		c = nil
	}
	return c, problems
}

// Read is Parse of a file, or of stdin for StandardInput. That it cannot be read is a
// Problem as well.
func Read(name string, stdin io.Reader, env func(string) (string, bool)) (*Config, Problems) {
	data, problem := readFile(name, stdin)
	if problem != nil {
		return nil, Problems{*problem}
	}
	return Parse(name, data, env)
}

// readFile returns what a file holds, up to a byte more than it may, or why it cannot be read.
func readFile(name string, stdin io.Reader) ([]byte, *Problem) {
	in := stdin
	if name != StandardInput {
		f, err := os.Open(name) //nolint:gosec // the user's own file
		if err != nil {
			return nil, unreadableProblem(name, err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFileBytes+1))
	if err != nil {
		return nil, unreadableProblem(name, err)
	}
	return data, nil
}

// unreadableProblem says so in the words of the system, without the name that is there already.
func unreadableProblem(name string, err error) *Problem {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return &Problem{File: name, Message: fmt.Sprintf("the file cannot be read: %v", err)}
}

// parseConfig reads a file, unless the reader has none, and what overrides it.
func parseConfig(r *configReader, data []byte, wanted []Section) (*Config, Problems) {
	var c Config
	root := configFields()
	root.setDefaults(&c)
	if r.file != "" {
		if len(data) > maxFileBytes {
			return nil, Problems{{File: r.file, Message: "the file is longer than 1 MiB: is it the right one?"}}
		}
		n := r.parseDocument(data)
		if n == nil {
			return nil, r.sortedProblems()
		}
		r.origins[""] = valueOrigin{line: n.Line, column: n.Column}
		root.readNode(r, "", n, &c, adviceForKeys(root.fieldInfos()))
	}
	for _, k := range root {
		if name := k.describeField().name; slices.Contains(wanted, Section(name)) {
			k.applyOverrides(r, name, &c)
		}
	}
	c.deriveDefaults(r)
	c.checkTogether(r)
	return &c, r.sortedProblems()
}

func allSections() []Section {
	out := make([]Section, 0, 8)
	for _, s := range configFields().fieldInfos() {
		out = append(out, Section(s.name))
	}
	return out
}
