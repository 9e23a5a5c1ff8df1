package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/onceish/onceish/bus"
)

// terminalPair is a terminal, and the side of who sits at it.
func terminalPair(t *testing.T) (person, term *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if term, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = person.Close(), term.Close() })
	return person, term
}

// On a terminal it asks, and takes nothing for yes but that.
func TestDroppingAsks(t *testing.T) {
	t.Parallel()
	uri := database(t)
	if err := addAlone(uri, bus.Event{ID: "1", Topic: "a.b", Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		answer, says string
		status       int
	}{
		{"n\n", "worker: nothing was changed", 1},
		{"\n", "worker: nothing was changed", 1},
		{"yes, no\n", "worker: nothing was changed", 1},
		{"\x04", "worker: nothing was changed", 1}, // the end of what is typed
		{"Y\n", "1 row removed", 0},
	} {
		person, term := terminalPair(t)
		if _, err := person.WriteString(c.answer); err != nil {
			t.Fatal(err)
		}
		var stdout strings.Builder
		args := []string{"worker", "outbox", "drop", "--topic", "a.>", "--status", "pending", "--mongo", uri}
		code := execArgs(t.Context(), args, term, &stdout, term)
		if _, err := term.WriteString("END\n"); err != nil {
			t.Fatal(err)
		}
		asked := stdout.String()
		for lines, told := bufio.NewScanner(person), false; !told && lines.Scan(); {
			asked += lines.Text() + "\n"
			told = strings.HasSuffix(lines.Text(), "END")
		}
		if code != c.status || !strings.Contains(asked, "drop all rows that are pending with topic a.>, in mongodb://") || !strings.Contains(asked, c.says) {
			t.Errorf("%q: exit status %d\n%s", c.answer, code, asked)
		}
	}
}
