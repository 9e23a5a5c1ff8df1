package natstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Install returns the program of a released server. It is built from the module proxy, which takes
// half a minute, and kept below ${ONCEISH_CACHE:-${XDG_CACHE_HOME:-~/.cache}/onceish}/bin.
// Processes that want the same one at a time build it once.
func Install(ctx context.Context, version string) (string, error) {
	cache, err := cacheDirectory()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "bin", "nats-server-"+version+"-"+runtime.Version()+"-"+runtime.GOARCH)
	program := filepath.Join(dir, "nats-server")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("keep nats-server %s: %w", version, err)
	}
	free, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", fmt.Errorf("keep nats-server %s: %w", version, err)
	}
	defer free()
	if _, err := os.Stat(program); err == nil {
		return program, nil // another process was faster
	}
	return program, build(ctx, version, dir)
}

// build is done when the program has its name: a build that was cut off leaves none.
func build(ctx context.Context, version, dir string) (err error) {
	temporary, err := os.MkdirTemp(dir, "build")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	module := "github.com/nats-io/nats-server/v2@v" + version
	cmd := exec.CommandContext(ctx, "go", "install", module) // #nosec G204 -- the version is a test's own
	cmd.Dir = temporary
	cmd.Env = append(slices.DeleteFunc(os.Environ(), builds), "GOBIN="+temporary, "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go install %s: %w: this test needs the Go module proxy, or a program built before at %s: %s",
			module, err, filepath.Join(dir, "nats-server"), out)
	}
	return os.Rename(filepath.Join(temporary, "nats-server"), filepath.Join(dir, "nats-server"))
}

// builds tells which variables would have another program built, or built elsewhere.
func builds(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains([]string{"GOBIN", "GOFLAGS", "GOWORK", "GOOS", "GOARCH"}, name)
}

func cacheDirectory() (string, error) {
	if dir := os.Getenv("ONCEISH_CACHE"); dir != "" {
		return dir, nil
	}
	dir := os.Getenv("XDG_CACHE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no place for a nats-server: set ONCEISH_CACHE: %w", err)
		}
		dir = filepath.Join(home, ".cache")
	}
	return filepath.Join(dir, "onceish"), nil
}

// lock blocks until no other process holds it.
func lock(name string) (free func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the cache's own
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return func() { _ = f.Close() }, nil // nothing was written
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
	}
}
