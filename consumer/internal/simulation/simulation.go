package simulation

import (
	"fmt"
	"io"
	"time"
)

// Options of a Run. The zero value means the defaults.
type Options struct {
	// Trace gets a line for each step. Nil: none.
	Trace io.Writer

	mutation mutation
}

// Violation is a promise that was broken.
type Violation struct {
	// Rule names the promise, as in the package's documentation.
	Rule string
	// At is how long the simulation had run.
	At   time.Duration
	Text string
}

// String is the violation in one line.
func (v Violation) String() string { return fmt.Sprintf("%s at %v: %s", v.Rule, v.At, v.Text) }

// Result of a Run.
type Result struct {
	Violations []Violation
	// Steps that were made, and a hash over all of them: two runs of one seed have the same.
	Steps int
	Trace uint64
	// Effects, Letters and Faults there were, and Repeats among the effects.
	Effects, Repeats, Letters, Faults int
	// Took is how long it lasted in virtual time.
	Took time.Duration
}

// maxViolations ends a run: what comes after is mostly the same again.
const maxViolations = 20

// Run plays one seed. A nil o means the defaults.
func Run(seed uint64, o *Options) Result {
	var opts Options
	if o != nil {
		opts = *o
	}
	w, err := newSimulation(seed, opts)
	if err != nil {
		return Result{Violations: []Violation{{Rule: "setup", Text: err.Error()}}}
	}
	w.play()
	return w.result()
}
