package journal

import (
	"fmt"
	"os"
	"time"
)

// Writer appends to a journal. Safe for concurrent use, also by several processes.
type Writer struct{ file *os.File }

// OpenWriter opens a journal that is there.
func OpenWriter(name string) (*Writer, error) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0) //nolint:gosec // the caller's own file
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	return &Writer{f}, nil
}

// Write appends a record of this process by a single write. Its time is taken before, so a process
// that was killed has written all its records by the time it is dead.
func (j *Writer) Write(what, id string) error {
	return j.appendRecord(Record{What: what, ID: id})
}

// WriteStart is Write for the start of a run.
func (j *Writer) WriteStart(id, key string, attempt int) error {
	return j.appendRecord(Record{What: Start, ID: id, Key: key, Attempt: attempt})
}

func (j *Writer) appendRecord(r Record) error {
	r.PID, r.At = os.Getpid(), time.Now()
	if _, err := j.file.WriteString(r.String()); err != nil {
		return fmt.Errorf("write to the journal: %w", err)
	}
	return nil
}

// Close closes the file.
func (j *Writer) Close() error { return j.file.Close() }
