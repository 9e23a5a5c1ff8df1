package worker

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
	limit  int
	to     *linePublisher
}

func (s *lineSource) run(ctx context.Context) error {
	for n := 1; ctx.Err() == nil; n++ {
		line, length, err := s.lines.next()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: reading line %d: %w", ErrNotStored, n, err)
		case length > s.limit:
			s.to.refuse(n, fmt.Errorf("%w: it has %d bytes, and the bus takes %d", bus.ErrTooLarge, length, s.limit))
			continue
		case len(bytes.TrimSpace(line)) == 0:
			continue
		}
		e, err := s.parser.event(line, time.Now())
		if err != nil {
			s.to.refuse(n, err)
			continue
		}
		if !s.to.accept(numbered{e, n}) {
			return nil
		}
	}
	return nil
}
