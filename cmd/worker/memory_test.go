package main

import (
	"bytes"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Not parallel: the limit is that of the process.
func TestMemoryLimitIsThatOfTheContainer(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	container := memlimit.Limit(1000 << 20)
	none := func() (uint64, error) { return 0, memlimit.ErrNoLimit }
	for name, c := range map[string]struct {
		limit memlimit.Provider
		env   [2]string
		want  int64
		says  string
	}{
		"of the container":      {container, [2]string{}, 800 << 20, "level=DEBUG msg=\"the memory is limited\" bytes=838860800"},
		"another ratio":         {container, [2]string{"AUTOMEMLIMIT", "0.5"}, 500 << 20, "bytes=524288000"},
		"off":                   {container, [2]string{"AUTOMEMLIMIT", "off"}, before, "level=DEBUG"},
		"GOMEMLIMIT goes first": {container, [2]string{"GOMEMLIMIT", "5GiB"}, before, "level=DEBUG"},
		"none":                  {none, [2]string{}, before, "the memory is not limited"},
		"no container":          {func() (uint64, error) { return 0, memlimit.ErrNoCgroup }, [2]string{}, before, "level=DEBUG msg=\"no memory limit is known\""},
		"unreadable":            {func() (uint64, error) { return 0, errors.New("no such file") }, [2]string{}, before, "level=WARN"},
		"no ratio":              {container, [2]string{"AUTOMEMLIMIT", "most"}, before, "cannot parse AUTOMEMLIMIT: most"},
	} {
		t.Run(name, func(t *testing.T) {
			debug.SetMemoryLimit(before)
			if c.env[0] != "" {
				t.Setenv(c.env[0], c.env[1])
			}
			var log bytes.Buffer
			limitMemory(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), c.limit)
			if got := debug.SetMemoryLimit(-1); got != c.want || !strings.Contains(log.String(), c.says) {
				t.Errorf("%d, want %d; logged %s, want %s", got, c.want, &log, c.says)
			}
		})
	}
}
