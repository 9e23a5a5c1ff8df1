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

// Keep is what the guard's process does: it reads what runs, and kills it when the reader ends.
func Keep(r io.Reader, log io.Writer) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	k := keeper{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		k.heard(lines.Text())
	}
	if n := len(k); n > 0 {
		_, _ = fmt.Fprintf(log, "the worker has died: killing %d commands that it ran\n", n) // whom it may concern
		k.kill()
	}
	return lines.Err()
}

// keeper knows the runs that are open, by their marks, and their groups; 0 while that is not known.
type keeper map[string]int

func (k keeper) heard(line string) {
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

func (k keeper) kill() {
	marks := make(map[string]bool, len(k))
	for mark, group := range k {
		marks[mark] = true
		if group > 1 {
			killGroup(group)
		}
	}
	killMarked(marks)
}
