package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// Reader reads a journal as it grows.
type Reader struct {
	file *os.File
	buf  []byte
	rest []byte // of a line whose end is not there
}

// NewReader reads the file from where it stands. It is for one goroutine.
func NewReader(f *os.File) *Reader {
	return &Reader{file: f, buf: make([]byte, 64<<10)}
}

// ReadNew returns what was written since the last call.
func (r *Reader) ReadNew() (rs []Record, err error) {
	for {
		n, err := r.file.Read(r.buf)
		r.rest = append(r.rest, r.buf[:n]...)
		for {
			line, rest, found := bytes.Cut(r.rest, []byte("\n"))
			if !found {
				break
			}
			if record, ok := parseRecord(string(line)); ok {
				rs = append(rs, record)
			}
			r.rest = rest
		}
		switch {
		case errors.Is(err, io.EOF):
			return rs, nil
		case err != nil:
			return rs, fmt.Errorf("read the journal: %w", err)
		}
	}
}
