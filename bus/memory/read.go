package memory

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/onceish/onceish/bus"
)

var _ bus.Reader = (*Bus)(nil)

// readBatch is how many events a reader holds at once, and how many sequences it looks at under the
// stream's lock.
const readBatch = 256

// Read implements bus.Reader. It waits only if the range follows the stream.
func (b *Bus) Read(ctx context.Context, pattern string, r bus.Range) iter.Seq2[bus.Stored, error] {
	return func(yield func(bus.Stored, error) bool) {
		reader, err := b.openReader(ctx, pattern, r)
		if err != nil {
			yield(bus.Stored{}, fmt.Errorf("memory: %w", err))
			return
		}
		for {
			page, err := reader.nextPage(ctx)
			if err != nil {
				yield(bus.Stored{}, err)
				return
			}
			if !page.yieldAll(yield) || page.last {
				return
			}
			page.awaitGrowth(ctx)
		}
	}
}

// streamReader is where a read stands in its stream.
type streamReader struct {
	stream  *memoryStream
	pattern string
	filters []string
	r       bus.Range
	name    string       // the incarnation that is read
	end     uint64       // the last sequence to read
	next    uint64       // the sequence to read next
	last    bus.Position // of the last event that was read
}

// readPage is what a reader takes from its stream at once.
type readPage struct {
	dropped *bus.DroppedError // before the events; nil: none
	events  []bus.Stored
	last    bool          // the range has no more
	grown   chan struct{} // closed when there is more; nil: there is
}

// yieldAll hands out what the page has. It returns false once nobody wants more.
func (p *readPage) yieldAll(yield func(bus.Stored, error) bool) bool {
	if p.dropped != nil && !yield(bus.Stored{}, p.dropped) {
		return false
	}
	for _, s := range p.events {
		if !yield(s, nil) {
			return false
		}
	}
	return true
}

func (p *readPage) awaitGrowth(ctx context.Context) {
	if p.grown == nil {
		return
	}
	select {
	case <-p.grown:
	case <-ctx.Done():
	}
}

func (b *Bus) openReader(ctx context.Context, pattern string, r bus.Range) (*streamReader, error) {
	if err := bus.ValidPattern(pattern); err != nil {
		return nil, err
	}
	r, err := r.Resolve(ctx, b, pattern)
	if err != nil {
		return nil, err
	}
	s, err := b.findStream(pattern, bus.FilterOf(pattern))
	if errors.Is(err, bus.ErrNoStream) && r.Partitions {
		s, err = b.findStream(pattern, bus.PartitionsOf(pattern))
	}
	if err != nil {
		return nil, err
	}
	reader := &streamReader{stream: s, pattern: pattern, filters: r.Filters(pattern), r: r, last: r.From.After}
	s.withLock(func(int64) {
		reader.name, reader.end, reader.next = s.name, s.log.next-1, s.log.first
		err = r.In(s.name, reader.end)
		if until := r.Until.Position.Sequence; until > 0 {
			reader.end = min(reader.end, until)
		}
		switch {
		case reader.last.Sequence > 0:
			reader.next = reader.last.Sequence + 1
		case !r.From.Time.IsZero():
			reader.next = s.log.firstSince(r.From.Time.UnixNano())
		}
	})
	return reader, err
}

// nextPage reads what comes next.
func (r *streamReader) nextPage(ctx context.Context) (page readPage, err error) {
	if err := context.Cause(ctx); err != nil {
		return page, err
	}
	s := r.stream
	s.withLock(func(int64) {
		if err = r.checkReplaced(); err != nil {
			return
		}
		page = r.readPage()
	})
	return page, err
}

// readPage is called with the stream's lock held.
func (r *streamReader) readPage() (page readPage) {
	log, end := r.stream.log, r.end
	if r.r.Until.Follow {
		end = log.next - 1
	}
	if first := min(log.first, end+1); r.next < first {
		page.dropped = &bus.DroppedError{Stream: r.name, First: r.next, Last: first - 1}
		r.next = first
	}
	for limit := r.next + readBatch; r.next <= end && r.next < limit; r.next++ {
		if !log.hasEvent(r.next) {
			continue
		}
		entry := log.entryAt(r.next)
		at := r.stream.positionOf(r.next, entry.stored)
		if page.last = r.r.Until.Ends(at); page.last {
			return page
		}
		if matchesAny(r.filters, entry.subject) && r.r.Selects(r.pattern, entry.event.Topic) {
			page.events = append(page.events, r.storedEvent(entry, at))
			r.last = at
		}
	}
	if page.last = r.next > end && !r.r.Until.Follow; r.next > end && !page.last {
		page.grown = r.stream.growth()
	}
	return page
}

// checkReplaced returns why what the stream has now does not continue what was read of it.
func (r *streamReader) checkReplaced() error {
	log := r.stream.log
	switch last := r.last.Sequence; {
	case r.stream.name != r.name:
		return fmt.Errorf("memory: %w: stream %q was made again, it was %q", bus.ErrStreamReplaced, r.stream.name, r.name)
	case r.next > log.next, log.hasEvent(last) && log.entryAt(last).stored != r.last.Stored.UnixNano():
		return fmt.Errorf("memory: %w: stream %q was restored from an older copy", bus.ErrStreamReplaced, r.name)
	}
	return nil
}

func (r *streamReader) storedEvent(entry *logEntry, at bus.Position) bus.Stored {
	s := bus.Stored{Event: entry.event, At: at}
	if r.r.HeadersOnly {
		s.Event.Data = nil
	}
	return s
}

// growth returns what is closed when the stream has more events, or is replaced.
func (s *memoryStream) growth() chan struct{} {
	if s.grown == nil {
		s.grown = make(chan struct{})
	}
	return s.grown
}
