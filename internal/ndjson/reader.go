package ndjson

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/onceish/onceish/bus"
)

// lineReader reads lines one by one, and holds no more than one of them.
type lineReader struct {
	r     *bufio.Reader
	limit int
	begun bool
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10), limit: limit}
}

// nextLine returns a line without its end, which is the caller's, and its length in bytes. Of a
// line beyond the limit only the length is returned. After the last line it returns io.EOF; another
// error is the reader's own, and the line before it is not whole.
func (l *lineReader) nextLine() (line []byte, length int, err error) {
	if !l.begun {
		l.begun = true
		l.skipByteOrderMark()
	}
	for {
		part, err := l.r.ReadSlice('\n')
		length += len(part)
		if length <= l.limit+len("\r\n") {
			line = append(line, part...)
		} else {
			line = nil
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && length > 0:
			err = nil // the last line needs no end
		}
		if err != nil {
			return nil, 0, err
		}
		return l.trimLine(line, part, length)
	}
}

func (l *lineReader) trimLine(line, last []byte, length int) ([]byte, int, error) {
	end := len(last) - len(bytes.TrimSuffix(bytes.TrimSuffix(last, []byte("\n")), []byte("\r")))
	if length -= end; length > l.limit {
		return nil, length, nil
	}
	return line[:len(line)-end], length, nil
}

// skipByteOrderMark skips the byte-order mark that some editors write.
func (l *lineReader) skipByteOrderMark() {
	if mark, _ := l.r.Peek(3); bytes.Equal(mark, []byte("\xEF\xBB\xBF")) {
		_, _ = l.r.Discard(len(mark)) // they were peeked
	}
}

// lineSource reads lines into the backlog.
type lineSource struct {
	parse func(line []byte) (bus.Event, error)
	lines *lineReader
	to    *linePublisher
}

func (s *lineSource) readAll(ctx context.Context) error {
	for n := 1; ; n++ {
		line, length, err := s.lines.nextLine()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // nobody asks any more
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: reading line %d: %w", ErrNotStored, n, err)
		case length > s.lines.limit:
			s.to.refuseLine(n, fmt.Errorf("%w: it has %d bytes, and the bus takes %d", bus.ErrTooLarge, length, s.lines.limit))
			continue
		case len(bytes.TrimSpace(line)) == 0:
			continue
		}
		e, err := s.parse(line)
		if err != nil {
			s.to.refuseLine(n, err)
			continue
		}
		if !s.to.acceptLine(e, n) {
			return nil
		}
	}
}
