package schema

import (
	"fmt"
	"strings"
)

// Difference is why one version does not read what another one writes.
type Difference struct {
	// Reader and Writer are the versions.
	Reader int `json:"reader"`
	Writer int `json:"writer"`
	// Path is the JSON Pointer of the place in the reader's schema.
	Path string `json:"path"`
	// Problem is the change.
	Problem string `json:"problem"`
	// Undecided says that the versions may be compatible, and that this is not found out.
	Undecided bool `json:"undecided,omitempty"`
}

// String says who does not read whom, where and why.
func (d Difference) String() string {
	does := "does not read"
	if d.Undecided {
		does = "may not read"
	}
	return fmt.Sprintf("version %d %s version %d, at %s: %s", d.Reader, does, d.Writer, showRaw(d.Path), d.Problem)
}

// IncompatibleError is ErrIncompatible with all differences.
type IncompatibleError struct {
	Subject

	Number      int
	Mode        Mode
	Differences []Difference
}

// Error shows the first few differences.
func (e *IncompatibleError) Error() string {
	const most = 5
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, version %d, compatibility %s", ErrIncompatible, e.Subject, e.Number, e.Mode)
	for i, d := range e.Differences {
		if i == most {
			fmt.Fprintf(&b, "; and %d more", len(e.Differences)-most)
			break
		}
		b.WriteString("; " + d.String())
	}
	return b.String()
}

// Is reports whether an error is ErrIncompatible.
func (e *IncompatibleError) Is(err error) bool { return err == ErrIncompatible }

// numbered is a version's schema with its number.
type numbered struct {
	number int
	d      *Document
}

// differences of a new version from earlier ones.
func differences(mode Mode, added numbered, earlier []numbered) (out []Difference) {
	for _, old := range earlier {
		if mode.backward() {
			out = append(out, compareVersions(added, old)...)
		}
		if mode.forward() {
			out = append(out, compareVersions(old, added)...)
		}
	}
	return out
}

// compareVersions returns why a reader does not take all that a writer writes. None: it does.
func compareVersions(reader, writer numbered) []Difference {
	c := &comparison{reader: reader.number, writer: writer.number, seen: map[string]bool{}, budget: &budget{maxSteps}}
	c.compare(place{reader.d, "", reader.d.root}, flatten(place{writer.d, "", writer.d.root}))
	return c.found
}
