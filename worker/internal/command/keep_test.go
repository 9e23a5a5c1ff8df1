//go:build linux

package command

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

// A process that died between "open" and "group" has left a command whose group nobody knows.
func TestKeepKillsWhatWasOnlyOpened(t *testing.T) {
	f := newFamily(t)
	start := func(mark string) *exec.Cmd {
		cmd := exec.Command(Shell, "-c", join+`echo >&9; exec sleep 1000`)
		cmd.Env = append(f.env(), Mark+"="+mark)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		f.ready(t)
		return cmd
	}
	opened, finished := start("test.1"), start("test.2")
	var log bytes.Buffer
	if err := guardRuns(strings.NewReader("open test.1\nopen test.2\ndone test.2\n"), &log); err != nil {
		t.Fatal(err)
	}
	if err := opened.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("the command that was open: %v, want killed", err)
	}
	if !strings.Contains(log.String(), "what it ran: 1") {
		t.Errorf("log: %q", &log)
	}
	if !anyMarked(map[string]bool{"test.2": true}) {
		t.Error("what a finished command left on purpose was killed")
	}
	_ = finished.Process.Kill()
	_ = finished.Wait()
}

func FuzzKeeper(f *testing.F) {
	f.Add("open a.1\ngroup a.1 77\ndone a.1\n")
	f.Add("group a.1 -1\ngroup x 0\ngroup y 1\nopen")
	f.Fuzz(func(t *testing.T, lines string) {
		k := openRuns{}
		for line := range strings.SplitSeq(lines, "\n") {
			k.handleLine(line)
		}
		for mark, group := range k {
			if group < 0 || group == 1 {
				t.Errorf("%q has group %d: killing it kills everything", mark, group)
			}
		}
	})
}

func FuzzTail(f *testing.F) {
	f.Add([]byte("a\nb\n"), 3)
	f.Add(bytes.Repeat([]byte("long line\n"), 1000), 7)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		step = max(1, step%5000)
		var last tailBuffer
		for rest := data; len(rest) > 0; rest = rest[min(step, len(rest)):] {
			if n, err := last.Write(rest[:min(step, len(rest))]); err != nil || n != min(step, len(rest)) {
				t.Fatal(n, err)
			}
		}
		s := last.String()
		if len(s) > tailBytes || !utf8.ValidString(s) {
			t.Errorf("%d bytes, valid: %v", len(s), utf8.ValidString(s))
		}
		if !bytes.HasSuffix(bytes.TrimSpace(bytes.ToValidUTF8(data, nil)), []byte(s)) && !strings.Contains(fmt.Sprintf("%q", data), `\x`) {
			t.Errorf("%q is not the end", s)
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb"), 1)
	f.Add(bytes.Repeat([]byte("x"), 3*maxLineBytes), 1000)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		step = max(1, step%5000)
		var out bytes.Buffer
		l := newLineWriter(&out).newLineBuffer()
		for rest := data; len(rest) > 0; rest = rest[min(step, len(rest)):] {
			if _, err := l.Write(rest[:min(step, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.flushRest(); err != nil {
			t.Fatal(err)
		}
		got, want := out.Bytes(), data
		if !bytes.HasPrefix(got, want) || len(got) > len(want)+1 {
			t.Errorf("%d bytes became %d", len(want), len(got))
		}
	})
}
