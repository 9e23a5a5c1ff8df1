package commandline

import (
	"errors"
	"strings"
	"testing"
)

// No line of an error stands alone in a log that others write to as well.
func TestFailureNamesItsProgramInEachLine(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	PrintFailure(&out, "billing", errors.Join(errors.New("2 mistakes:\n  a\n\tb"), errors.New("close: c")))
	if want := "billing: 2 mistakes:\n  a\n\tb\nbilling: close: c\n"; out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
}
