// Command noskip reads what go test -json writes, prints what go test prints without it, and fails
// if a test failed, or was skipped without one of its arguments in what the test said.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := exec(os.Stdin, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "noskip:", err)
		os.Exit(1)
	}
}

// event is a line of go test -json; see go doc test2json.
type event struct {
	Action  string `json:"Action"`
	Package string `json:"Package"`
	Test    string `json:"Test"`
	Output  string `json:"Output"`
}

// report collects what tests and packages say until it is known whether anybody wants to read it.
type report struct {
	out     io.Writer
	allowed []string
	said    map[event][]string // by package and test
	failed  []string
	skipped []string
}

func exec(in io.Reader, out io.Writer, allowed []string) error {
	r := &report{out: out, allowed: allowed, said: make(map[event][]string)}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return r.verdict()
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("read the events: %w", err)
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			fmt.Fprintf(out, "%s", line) // go's own complaints are no events
			continue
		}
		r.add(e)
	}
}

func (r *report) add(e event) {
	key := event{Package: e.Package, Test: e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			r.said[key] = append(r.said[key], e.Output)
		}
	case "pass", "skip", "fail":
		r.end(e, r.said[key])
		delete(r.said, key)
	}
}

// end is told of each test and, with an empty Test, of each package. What a failed test said waits
// for its package to end, so that packages tested at the same time do not mix.
func (r *report) end(e event, said []string) {
	whole := event{Package: e.Package}
	switch {
	case e.Action == "fail" && e.Test != "":
		r.said[whole] = append(r.said[whole], said...)
	case e.Action == "fail":
		for key, unfinished := range r.said { // a panic or a time-out ends no test
			if key.Package == e.Package && key.Test != "" {
				r.print(unfinished)
				delete(r.said, key)
			}
		}
		r.print(said)
		r.failed = append(r.failed, e.Package)
	case e.Action == "skip" && e.Test != "":
		r.skip(e.Package+" "+e.Test, strings.Join(said, ""))
	case e.Test == "" && len(said) > 0:
		r.print(said[len(said)-1:]) // ok, or no test files
	}
}

func (r *report) skip(name, said string) {
	if !slices.ContainsFunc(r.allowed, func(reason string) bool { return strings.Contains(said, reason) }) {
		r.skipped = append(r.skipped, name+"\n"+said)
	}
}

func (r *report) print(lines []string) {
	fmt.Fprint(r.out, strings.Join(lines, ""))
}

func (r *report) verdict() error {
	if len(r.failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(r.failed, ", "))
	}
	if len(r.skipped) > 0 {
		return fmt.Errorf("skipped, but only %q may be:\n%s", r.allowed, strings.Join(r.skipped, ""))
	}
	return nil
}
