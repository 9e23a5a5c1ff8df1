package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// workerAssignment is what a worker process is told.
type workerAssignment struct {
	cell

	// File is a new one, for what it has counted.
	File string `json:"file"`
}

// Validate implements testbed.Assignment.
func (a *workerAssignment) Validate() error {
	if a.File == "" {
		return errors.New("the file for the counts is empty")
	}
	return a.cell.Validate()
}

// Phases of a worker.
const (
	phaseReady     = "ready"     // it is connected, and waits until it may begin
	phaseConsuming = "consuming" // it has subscribed
)

// workerStatus is what a worker reports, as a line of JSON.
type workerStatus struct {
	PID   int    `json:"pid"`
	Phase string `json:"phase"`
	// Done events are completed, Answers deliveries answered or rows marked.
	Done    int64 `json:"done"`
	Answers int64 `json:"answers"`
}

// statusWriter reports a process's status. It is safe for concurrent use.
type statusWriter struct {
	mu  sync.Mutex
	out io.Writer
	pid int
}

func newStatusWriter(out io.Writer) *statusWriter { return &statusWriter{out: out, pid: os.Getpid()} }

func (w *statusWriter) write(s workerStatus) error {
	s.PID = w.pid
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.out.Write(append(line, '\n')); err != nil { // one write, so that lines of processes do not mix
		return fmt.Errorf("report to the process that started this one: %w", err)
	}
	return nil
}
