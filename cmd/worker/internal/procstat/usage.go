package procstat

import (
	"errors"
	"time"
)

var (
	// ErrGone is returned by Read when the process has ended, or never was.
	ErrGone = errors.New("no such process")
	// ErrUnavailable is returned by Read on systems without Linux's /proc.
	ErrUnavailable = errors.New("CPU and memory of processes are measured on Linux alone")
)

// Usage is what a process uses.
type Usage struct {
	// CPU is the time that it has spent on all cores so far, in user and kernel mode.
	CPU time.Duration
	// Resident is how much of its memory is in RAM now, in bytes.
	Resident int64

	// started is when it was started, in ticks since the machine was. It tells a process from a
	// later one of the same id.
	started uint64
}
