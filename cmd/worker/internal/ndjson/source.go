package ndjson

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/onceish/onceish/bus"
)

// lineSource reads lines into the backlog.
type lineSource struct {
	parser lineParser
	lines  *lineReader
	to     *linePublisher
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
		e, err := s.parser.parseLine(line, time.Now())
		if err != nil {
			s.to.refuseLine(n, err)
			continue
		}
		if !s.to.acceptLine(e, n) {
			return nil
		}
	}
}
