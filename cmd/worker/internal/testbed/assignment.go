package testbed

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"syscall"
)

// beginLine is written once to processes that wait for it.
const beginLine = "begin"

// endLine is the last line that a worker process reads: it is to drain, and end. If its input ends
// before, the process that started it has died.
const endLine = "end"

// Assignment is what a worker process is to do. It is read from JSON.
type Assignment interface{ Validate() error }

// ReadAssignment reads what a worker process is to do, into a, and returns a context that ends when
// the process is told to drain. If the input ends before, the process that has started this one is
// dead, and this one kills itself by SIGKILL. A goroutine keeps reading: the process is to end when
// it fails by itself.
func ReadAssignment(ctx context.Context, in io.Reader, a Assignment) (context.Context, error) {
	ctx, _, err := ReadAssignmentAndWait(ctx, in, a)
	return ctx, err
}

// ReadAssignmentAndWait is ReadAssignment for a process that prepares itself, and does its work
// only when begun is closed, by Pool.Begin.
func ReadAssignmentAndWait(ctx context.Context, in io.Reader, a Assignment) (_ context.Context, begun <-chan struct{}, err error) {
	r := bufio.NewReader(in)
	line, err := r.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, a)
	}
	if err == nil {
		err = a.Validate()
	}
	if err != nil {
		return ctx, nil, fmt.Errorf("read an assignment from standard input: %w: this command is started by other commands, not by people", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	beginning := make(chan struct{})
	go func() {
		defer cancel()
		line, _ := r.ReadString('\n')
		if line == beginLine+"\n" {
			close(beginning)
			line, _ = r.ReadString('\n')
		}
		if line != endLine+"\n" {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL) // at a moment like any other
		}
	}()
	return ctx, beginning, nil
}

// StartError is err, of a process that could not start; or nil if ctx, which is that of
// ReadAssignment, has ended: a process that is told to drain while it starts has nothing to drain.
func StartError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it ends in order
	}
	return err
}
