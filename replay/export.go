package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/onceish/onceish/bus"
)

// ErrIncomplete is returned by Export when the stream dropped events before they were read, or when
// some cannot be written.
var ErrIncomplete = errors.New("the export is incomplete")

// ExportOptions of Export. The zero value means the defaults.
type ExportOptions struct {
	// Filter selects events. Default: all.
	Filter Filter
	// Failed is called for each event that cannot be written as a line, because text of it is not
	// UTF-8. Nil: nobody is.
	Failed func(at bus.Position, err error)
	// Progress is called after each write, by the goroutine that runs Export. Nil: nobody is.
	Progress func(Exported)
}

// Exported is what became of an export.
type Exported struct {
	// Events is how many were written.
	Events int
	// Unwritten is how many cannot be written as lines.
	Unwritten int
	// Dropped is an upper bound of the events that the stream dropped before they were read.
	Dropped uint64
	// Last is the position up to which events were written, could not be, or were not selected: a
	// later export goes on after it. Zero: none were.
	Last bus.Position
}

// writeBytes is how much is written at once.
const writeBytes = 64 << 10

// Export writes the events of a topic, which may be a pattern, as lines of the format to w. It
// holds a bounded number of events. A range that follows the stream ends with ctx, and each event
// is written at once.
//
// What was read when ctx ends, or the bus fails, is written; Exported holds also beside an error.
// A write that fails may have left a part of a line. ErrIncomplete, which wraps the last
// *bus.DroppedError if there is one, comes after everything that can be was written. It does not
// retry.
func Export(ctx context.Context, reader bus.Reader, topic string, r bus.Range, w io.Writer, o *ExportOptions) (Exported, error) {
	if r.HeadersOnly {
		return Exported{}, errors.New("export: Range.HeadersOnly is set, and data would be lost: leave it false")
	}
	x := exporter{w: w, o: *cmp.Or(o, &ExportOptions{}), atOnce: writeBytes}
	if err := x.o.Filter.Validate(); err != nil {
		return Exported{}, fmt.Errorf("export: %w", err)
	}
	if x.o.Failed == nil {
		x.o.Failed = func(bus.Position, error) {}
	}
	if r.Until.Follow {
		x.atOnce = 1
	}
	var incomplete error
	for s, err := range reader.Read(ctx, topic, r) {
		if dropped, ok := errors.AsType[*bus.DroppedError](err); ok {
			incomplete = fmt.Errorf("%w: %w", ErrIncomplete, dropped)
			x.read.Dropped += dropped.Count()
			continue
		}
		if err == nil {
			err = x.addEvent(&s)
		}
		if err != nil {
			err = errors.Join(fmt.Errorf("export of %q: %w", topic, err), x.writeLines())
			return x.written, err
		}
	}
	err := x.writeLines()
	x.written.Dropped = x.read.Dropped
	if n := x.written.Unwritten; n > 0 {
		incomplete = errors.Join(incomplete, fmt.Errorf("%w: events that cannot be written: %d", ErrIncomplete, n))
	}
	return x.written, errors.Join(err, incomplete)
}

// exporter collects lines.
type exporter struct {
	w       io.Writer
	o       ExportOptions
	atOnce  int // bytes
	lines   []byte
	read    Exported
	written Exported

	notSelected int
}

func (x *exporter) addEvent(s *bus.Stored) error {
	selected := x.o.Filter.Matches(&s.Event)
	if selected {
		x.addLine(s)
	} else {
		x.notSelected++
	}
	x.read.Last = s.At
	if len(x.lines) >= x.atOnce || !selected && x.notSelected%progressEvery == 0 {
		return x.writeLines()
	}
	return nil
}

func (x *exporter) addLine(s *bus.Stored) {
	lines, err := AppendLine(x.lines, *s)
	if err != nil {
		x.read.Unwritten++
		x.o.Failed(s.At, fmt.Errorf("sequence %d is not written: %w", s.At.Sequence, err))
		return
	}
	x.lines = lines
	x.read.Events++
}

func (x *exporter) writeLines() error {
	if x.written == x.read {
		return nil
	}
	lines := x.lines
	x.lines = x.lines[:0]
	if len(lines) > 0 {
		if _, err := x.w.Write(lines); err != nil {
			x.read = x.written
			return fmt.Errorf("write events: %w", err)
		}
	}
	x.written = x.read
	if x.o.Progress != nil {
		x.o.Progress(x.written)
	}
	return nil
}
