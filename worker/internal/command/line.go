package command

import (
	"errors"
	"fmt"
	"strings"
)

// maxCommandBytes is what Linux takes as one argument, in bytes (MAX_ARG_STRLEN, without
// the final zero).
const maxCommandBytes = 128<<10 - 1

// CheckLine returns why no shell can be given a line to run.
func CheckLine(line string) error {
	switch i := strings.IndexByte(line, 0); {
	case line == "":
		return errors.New("it is empty: name a command, such as ./handle")
	case i >= 0:
		return fmt.Errorf("it has a NUL at byte %d, and a command line cannot hold one: put what needs it into a file, and run that", i)
	case len(line) > maxCommandBytes:
		return fmt.Errorf("it has %d bytes, and the system takes %d: put it into a file, and run that", len(line), maxCommandBytes)
	}
	return nil
}
