//go:build linux

package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// findMarked finds the living processes of the runs. An os.Process is a handle here: it never
// becomes another process.
func findMarked(marks map[string]bool) []*os.Process {
	var found []*os.Process
	dirs, _ := filepath.Glob("/proc/[1-9]*") // the pattern is right
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		env, err := os.ReadFile(filepath.Join(dir, "environ")) //nolint:gosec // of the kernel
		if err == nil && marks[markIn(env)] {
			found = append(found, p)
		} else {
			_ = p.Release() // it is none of ours
		}
	}
	return found
}

func markIn(env []byte) string {
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if mark, ok := bytes.CutPrefix(v, []byte(Mark+"=")); ok {
			return string(mark)
		}
	}
	return ""
}

func anyMarked(marks map[string]bool) bool {
	found := findMarked(marks)
	for _, p := range found {
		_ = p.Release()
	}
	return len(found) > 0
}

// killMarked kills the processes of the runs until none is found twice: they may fork while they
// are looked for, and have no environment for a moment while they become another program.
func killMarked(marks map[string]bool) {
	none := 0
	for range 200 {
		found := findMarked(marks)
		for _, p := range found {
			_ = p.Kill() // or it has ended
			_ = p.Release()
		}
		if none++; len(found) > 0 {
			none = 0
		}
		if none == 2 {
			return
		}
		time.Sleep(5 * time.Millisecond) // a killed process takes a moment to go
	}
}
