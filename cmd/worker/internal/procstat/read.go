//go:build linux

package procstat

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Fields of /proc/PID/stat after the command's name, in the words of proc(5), counted from 0.
const (
	fieldState     = 0
	fieldUserTime  = 11
	fieldKernel    = 12
	fieldStartTime = 19
	fieldResident  = 21 // pages
)

// Read returns what a process uses. The error is ErrGone if there is no such process, or if it has
// ended and its parent has not waited for it yet. It is safe for concurrent use.
func Read(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) //nolint:gosec // a number is no path
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return Usage{}, fmt.Errorf("read the usage of process %d: %w", pid, ErrGone)
	}
	if err != nil {
		return Usage{}, fmt.Errorf("read the usage of process %d: %w", pid, err)
	}
	u, err := parseStat(string(stat), ticksPerSecond(), os.Getpagesize())
	if err != nil {
		return Usage{}, fmt.Errorf("read the usage of process %d: %w", pid, err)
	}
	return u, nil
}

// parseStat parses /proc/PID/stat. The name of the command is in parentheses, and may have any of
// its own: the last one ends it.
func parseStat(stat string, ticks uint64, pageSize int) (Usage, error) {
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) <= fieldResident {
		return Usage{}, fmt.Errorf("unexpected format of /proc/PID/stat: %q", stat)
	}
	if state := fields[fieldState]; state == "Z" || state == "X" {
		return Usage{}, ErrGone
	}
	var numbers [fieldResident + 1]uint64
	for _, i := range []int{fieldUserTime, fieldKernel, fieldStartTime, fieldResident} {
		n, err := strconv.ParseUint(fields[i], 10, 63)
		if err != nil {
			return Usage{}, fmt.Errorf("field %d of /proc/PID/stat: %w", i+3, err)
		}
		numbers[i] = n
	}
	return Usage{
		CPU:      ticksToDuration(numbers[fieldUserTime]+numbers[fieldKernel], ticks),
		Resident: int64(numbers[fieldResident]) * int64(pageSize),
		started:  numbers[fieldStartTime],
	}, nil
}

// ticksToDuration does not overflow before the duration does.
func ticksToDuration(n, perSecond uint64) time.Duration {
	return time.Duration(n/perSecond)*time.Second + time.Duration(n%perSecond)*time.Second/time.Duration(perSecond)
}

const auxClockTick = 17 // AT_CLKTCK

// ticksPerSecond returns how many ticks of /proc a second has: what sysconf(_SC_CLK_TCK) returns.
// A kernel that does not say has 100.
var ticksPerSecond = sync.OnceValue(func() uint64 {
	vector, _ := unix.Auxv() // without one there is no entry
	for _, entry := range vector {
		if entry[0] == auxClockTick && entry[1] > 0 {
			return uint64(entry[1])
		}
	}
	return 100
})
