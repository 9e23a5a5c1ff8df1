package commandline

import (
	"fmt"
	"io"
	"strings"
)

// PrintFailure says why a program failed. Each of several errors has the program's name before it;
// lines that are indented belong to the one before.
func PrintFailure(w io.Writer, program string, err error) {
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			line = program + ": " + line
		}
		_, _ = io.WriteString(w, line) // nobody else to tell
	}
	_, _ = fmt.Fprintln(w)
}
