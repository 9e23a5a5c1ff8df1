package lines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/onceish/onceish/bus"
)

// source reads lines into the backlog.
type source struct {
	parser parser
	lines  *reader
	limit  int
	to     *publisher
}

func (s *source) run(ctx context.Context) error {
	for n := 1; ; n++ {
		line, length, err := s.lines.next()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // nobody asks any more
		}
		switch {
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
		if !s.to.accept(e, n) {
			return nil
		}
	}
}
