package main

import (
	"errors"
	"log/slog"
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryRatio is how much of the memory that the container may have is for Go's heap. The rest is
// for what the garbage collector does not count, such as commands that handlers run.
const memoryRatio = 0.8

// limitMemory makes the limit of the container that of the garbage collector, so that it collects
// harder before the kernel kills. GOMEMLIMIT goes before it, and AUTOMEMLIMIT says another ratio,
// or "off". Where nothing limits the memory, nothing changes.
func limitMemory(log *slog.Logger, limit memlimit.Provider) {
	bytes, err := memlimit.Set(memlimit.WithRatio(memoryRatio), memlimit.WithProvider(limit))
	switch {
	case errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		log.Debug("no memory limit is known", "error", err)
	case err != nil:
		log.Warn("the memory limit is not applied to the garbage collector; set GOMEMLIMIT", "error", err)
	case bytes == math.MaxInt64:
		log.Debug("the memory is not limited")
	default:
		log.Debug("the memory is limited", "bytes", bytes)
	}
}
