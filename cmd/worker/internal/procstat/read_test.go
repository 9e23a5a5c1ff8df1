//go:build linux

package procstat

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownCPU is what the kernel says elsewhere.
func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestReadReturnsCPUTime(t *testing.T) {
	before := ownCPU(t)
	for before < 500*time.Millisecond { // the rate of ticks shows
		before = ownCPU(t)
	}
	u, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	twoTicks := 2 * time.Second / time.Duration(ticksPerSecond()) // user and kernel time are rounded down
	if after := ownCPU(t); u.CPU < before-twoTicks || u.CPU > after {
		t.Errorf("%v, want %v to %v", u.CPU, before-twoTicks, after)
	}
}

func TestReadReturnsResidentMemory(t *testing.T) {
	const size = 64 << 20
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	read := func() int64 {
		u, err := Read(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return u.Resident
	}
	before := read()
	for i := range memory {
		memory[i] = 1
	}
	full := read()
	if err := unix.Munmap(memory); err != nil {
		t.Fatal(err)
	}
	// The kernel counts roughly, and the runtime may return memory meanwhile.
	if grown := full - before; grown < size/2 || grown > 2*size {
		t.Errorf("%d bytes more are resident, about %d expected", grown, size)
	}
	if freed := full - read(); freed < size/2 {
		t.Errorf("%d bytes less are resident, about %d expected", freed, size)
	}
}

// A command may be called what it likes.
func TestReadUnderstandsAnyName(t *testing.T) {
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, odd := range []string{"a b", "a) Z 1 2", "((", "))", ") ) (", "\n) S\n", " "} {
		if err := os.WriteFile("/proc/self/comm", []byte(odd), 0o600); err != nil {
			t.Fatal(err)
		}
		if u, err := Read(os.Getpid()); err != nil || u.started != want.started || u.CPU < want.CPU {
			t.Errorf("%q: %+v (%v), want about %+v", odd, u, err, want)
		}
	}
	if err := os.WriteFile("/proc/self/comm", []byte(strings.TrimSpace(string(name))), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEndedProcessIsGone(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if u, err := Read(pid); !errors.Is(err, ErrGone) {
		t.Errorf("not waited for: %+v, %v", u, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{pid, 0, -1, 1 << 30} {
		if u, err := Read(pid); !errors.Is(err, ErrGone) {
			t.Errorf("%d: %+v, %v", pid, u, err)
		}
	}
}

const validStat = "42 (worker) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 98765 1000000 25 18446744073709551615 1 1"

func TestStatIsParsed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ticks uint64
		want  Usage
	}{
		{100, Usage{2 * time.Second, 25 * 4096, 98765}},
		{1024, Usage{195312500, 25 * 4096, 98765}},
	} {
		if u, err := parseStat(validStat, c.ticks, 4096); err != nil || u != c.want {
			t.Errorf("%+v (%v), want %+v", u, err, c.want)
		}
	}
	for _, state := range []string{"Z", "X"} {
		if _, err := parseStat(strings.Replace(validStat, " S ", " "+state+" ", 1), 100, 4096); !errors.Is(err, ErrGone) {
			t.Errorf("state %s: %v", state, err)
		}
	}
	for stat, want := range map[string]string{
		"":                "unexpected format of /proc/PID/stat",
		"42 (worker) S":   "unexpected format",
		"42 worker S 1 2": "unexpected format",
		strings.Replace(validStat, " 150 ", " -150 ", 1): "field 14 of /proc/PID/stat",
		strings.Replace(validStat, " 25 ", " x ", 1):     "field 24 of /proc/PID/stat",
	} {
		if u, err := parseStat(stat, 100, 4096); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %q", stat, u, err, want)
		}
	}
}

func TestTicksDoNotOverflow(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	if got := ticksToDuration(uint64(200*year/time.Second)*100+1, 100); got != 200*year+10*time.Millisecond {
		t.Errorf("%v", got)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add(validStat)
	f.Add("1 (a) b) S")
	f.Fuzz(func(t *testing.T, stat string) {
		_, err := parseStat(stat, 100, 4096)
		if err != nil && !errors.Is(err, ErrGone) && !strings.Contains(err.Error(), "/proc/PID/stat") {
			t.Errorf("%q: %v", stat, err)
		}
	})
}
