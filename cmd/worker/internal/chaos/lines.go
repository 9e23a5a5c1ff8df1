package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

// maxLineBytes is the longest line of a handler that is kept until its end is there.
const maxLineBytes = 1 << 20

// lineReader reads what handlers append to a file of theirs: a line for each effect, which begins
// with the event's id.
type lineReader struct {
	file   *os.File
	prefix string // of ids
	buf    []byte
	rest   []byte // of a line whose end is not there

	strange int // lines that begin with no id of this run
}

// openLines opens the file, which is made if it is not there, at its end. Without a name there is
// nothing to read.
func openLines(name, prefix string) (*lineReader, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // nothing is read then
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDONLY|os.O_APPEND, 0o600) //nolint:gosec // the user's own file
	if err != nil {
		return nil, fmt.Errorf("open the journal of the handlers (--journal): %w", err)
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(fmt.Errorf("the journal of the handlers (--journal) has no end: name a file: %w", err), f.Close())
	}
	return &lineReader{file: f, prefix: prefix, buf: make([]byte, 64<<10)}, nil
}

func (l *lineReader) close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// readNew returns the effects that were written since the last call.
func (l *lineReader) readNew() (rs []journal.Record, err error) {
	if l == nil {
		return nil, nil
	}
	for {
		n, err := l.file.Read(l.buf)
		l.rest = append(l.rest, l.buf[:n]...)
		for {
			line, rest, found := bytes.Cut(l.rest, []byte("\n"))
			if !found {
				break
			}
			if id := l.idOf(string(line)); id != "" {
				rs = append(rs, journal.Record{What: journal.Effect, ID: id, At: time.Now()})
			}
			l.rest = rest
		}
		switch {
		case errors.Is(err, io.EOF):
			return rs, nil
		case err != nil:
			return rs, fmt.Errorf("read the journal of the handlers: %w", err)
		case len(l.rest) > maxLineBytes:
			return rs, fmt.Errorf("the journal of the handlers has a line of more than %d bytes: end the line of each effect", maxLineBytes)
		}
	}
}

// idOf is the id that a line begins with. A command that was killed while it wrote may have left a
// part of a line before it.
func (l *lineReader) idOf(line string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	word, _, _ = strings.Cut(word, "\t")
	begin := strings.LastIndex(word, l.prefix+"-")
	if begin < 0 {
		l.strange++
		return ""
	}
	return word[begin:]
}
