//go:build linux

package command

import (
	"bufio"
	"fmt"
	"io"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// KeepProcess is what the guard's process does. What ends a service or a terminal is not for it: it
// ends with its pipe.
func KeepProcess(r io.Reader, log io.Writer) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	return guardRuns(r, log)
}

// guardRuns reads what runs, and kills it when the reader ends.
func guardRuns(r io.Reader, log io.Writer) error {
	k := openRuns{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		k.handleLine(lines.Text())
	}
	if n := len(k); n > 0 {
		_, _ = fmt.Fprintf(log, "the worker has died: killing what it ran: %d\n", n) // whom it may concern
		k.killAll()
	}
	return lines.Err()
}

// openRuns knows the runs that are open, by their marks, and their groups; 0 while that
// is not known.
type openRuns map[string]int

func (k openRuns) handleLine(line string) {
	word, rest, _ := strings.Cut(line, " ")
	mark, group, _ := strings.Cut(rest, " ")
	switch word {
	case "open":
		k[mark] = 0
	case "group":
		if n, err := strconv.Atoi(group); err == nil && n > 1 {
			k[mark] = n
		}
	case "done":
		delete(k, mark)
	}
}

func (k openRuns) killAll() {
	marks := make(map[string]bool, len(k))
	for mark, group := range k {
		marks[mark] = true
		if group > 1 {
			killGroup(group)
		}
	}
	killMarked(marks)
}
