package bench

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
)

// writeTally writes a new file that readTally reads.
func writeTally(path string, t *tally) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the process that started this one has named it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return gob.NewEncoder(f).Encode(t)
}

// readTally reads what a worker process has written, for so many events.
func readTally(path string, events int) (*tally, error) {
	f, err := os.Open(path) //nolint:gosec // in a directory of our own
	if err != nil {
		return nil, fmt.Errorf("read what a worker process has counted: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	t, err := decodeTally(f)
	if err == nil && len(t.Runs) != events {
		err = fmt.Errorf("it counts %d events, and there are %d", len(t.Runs), events)
	}
	if err != nil {
		return nil, fmt.Errorf("read what a worker process has counted: %w", err)
	}
	return t, nil
}

func decodeTally(r io.Reader) (*tally, error) {
	t := &tally{}
	if err := gob.NewDecoder(r).Decode(t); err != nil {
		return nil, err
	}
	return t, nil
}
