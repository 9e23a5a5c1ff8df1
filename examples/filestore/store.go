// Package filestore shows a dedupe store of your own: one append-only file, the standard library,
// two methods. It serves the mode seen/mark (consumer.SeenMark), and is held to its duty by the
// suite that every store passes:
//
//	go test -v ./examples/filestore
//
// # Delivery semantics
//
// What Mark has confirmed is on the disk, and is seen again by whoever opens the file later. One
// process at a time has the file. It only grows; a store for production would rewrite it without
// what has expired.
package filestore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// fileRow is a line of the file. The last one with a key counts.
type fileRow struct {
	Key   string    `json:"key"`
	Dead  bool      `json:"dead,omitempty"`
	Hash  []byte    `json:"hash,omitempty"`
	Until time.Time `json:"until"`
}

func (r fileRow) toRecord() dedupe.Record {
	if r.Dead {
		return dedupe.Record{State: dedupe.Dead, Hash: r.Hash}
	}
	return dedupe.Record{State: dedupe.Done, Hash: r.Hash}
}

// Store is a dedupe.Store in a file. Its methods are safe for concurrent use.
type Store struct {
	file *os.File
	turn chan struct{} // full while somebody writes

	mu   sync.Mutex
	rows map[string]fileRow
}

var _ dedupe.Store = (*Store)(nil)

// Open reads the file, which it makes if it is not there, and keeps others from opening
// it until Close.
func Open(name string) (*Store, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) //nolint:gosec // the user names the file
	if err != nil {
		return nil, err
	}
	s := &Store{file: f, turn: make(chan struct{}, 1), rows: make(map[string]fileRow)}
	if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		err = s.loadFile()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", name, err), f.Close())
	}
	return s, nil
}

// loadFile cuts off what a crash left of an unfinished line: nobody was told that it is stored.
func (s *Store) loadFile() error {
	data, err := io.ReadAll(s.file)
	if err != nil {
		return err
	}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	for d := json.NewDecoder(bytes.NewReader(whole)); d.More(); {
		var r fileRow
		if err := d.Decode(&r); err != nil {
			return fmt.Errorf("near byte %d: %w", d.InputOffset(), err)
		}
		s.rows[r.Key] = r
	}
	return s.file.Truncate(int64(len(whole)))
}

// Seen implements dedupe.Store. A row whose time is over counts as absent.
func (s *Store) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := make([]dedupe.Record, len(keys))
	for i, key := range keys {
		if r := s.rows[key.String()]; time.Now().Before(r.Until) {
			records[i] = r.toRecord()
		}
	}
	return records, ctx.Err()
}

// Mark implements dedupe.Store: a mark is seen once it is on the disk.
func (s *Store) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var lines bytes.Buffer
	rows := make([]fileRow, len(marks))
	for i, m := range marks {
		rows[i] = fileRow{Key: m.Key.String(), Dead: m.State == dedupe.Dead, Hash: m.Hash, Until: time.Now().Add(m.TTL)}
		if err := json.NewEncoder(&lines).Encode(rows[i]); err != nil {
			return nil, err
		}
	}
	if err := s.appendLines(lines.Bytes()); err != nil {
		return nil, fmt.Errorf("mark in %s: %w", s.file.Name(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rows {
		s.rows[r.Key] = r
	}
	return make([]error, len(marks)), nil // all or none: no mark is refused by itself
}

// appendLines closes the file when it fails: half a line may be left, and only Open knows what to
// do about that.
func (s *Store) appendLines(lines []byte) error {
	_, err := s.file.Write(lines)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		err = errors.Join(err, s.file.Close())
	}
	return err
}

// Close closes the file. It is called when nothing uses the store any more.
func (s *Store) Close() error { return s.file.Close() }
