package jetstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/backoff"
)

var _ bus.Reader = (*Bus)(nil)

// Read implements bus.Reader. It reads by an ephemeral consumer that acknowledges nothing, and
// makes another one where it was lost. From a stream that deletes what its consumers have
// acknowledged (work queue, interest) it reads one message after the other instead, for a consumer
// would change what is kept there. That a stream has no more to read it believes only when the
// stream's leader says so: this takes the permissions to publish to $JS.API.STREAM.INFO.<stream>
// and $JS.API.STREAM.MSG.GET.<stream>. Without the second one, or that to make a consumer, and
// with Options.BindOnly, it is errors.ErrUnsupported.
func (b *Bus) Read(ctx context.Context, pattern string, r bus.Range) iter.Seq2[bus.Stored, error] {
	return func(yield func(bus.Stored, error) bool) {
		reader, err := b.openReader(ctx, pattern, r)
		if err != nil {
			yield(bus.Stored{}, err)
			return
		}
		defer reader.closeConsumer()
		reader.readAll(ctx, yield)
	}
}

// streamReader is where a read stands in its stream.
type streamReader struct {
	b           *Bus
	stream      string
	incarnation string
	config      *jetstream.StreamConfig
	pattern     string
	r           bus.Range
	end         uint64       // the last sequence to read, unless the range follows the stream
	next        uint64       // the sequence to read next
	last        bus.Position // of the last message that was read
	consumer    *readConsumer
	missed      int       // how often the consumer delivered nothing though there was something
	failing     time.Time // since when nothing succeeds; zero: the last page was read
}

// readPage is what a reader takes from its stream at once. A dropped error without a message is
// about what was before the end.
type readPage struct {
	messages []storedMsg
	last     bool // the range has no more
}

// storedMsg is a message of a stream, or what was dropped before it.
type storedMsg struct {
	at      bus.Position
	msg     *nats.Msg
	dropped *bus.DroppedError
}

func (b *Bus) openReader(ctx context.Context, pattern string, r bus.Range) (*streamReader, error) {
	if b.o.BindOnly {
		return nil, fmt.Errorf("jetstream: topic %q is not read, for a read makes a consumer and Options.BindOnly is set: %w", pattern, errors.ErrUnsupported)
	}
	r, err := r.Resolve(ctx, b, pattern)
	if err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	var info *jetstream.StreamInfo
	err = b.retryWhileMade(ctx, func(ctx context.Context) (err error) {
		info, err = b.streamToRead(ctx, pattern, &r)
		return err
	})
	if _, ok := errors.AsType[noStreamError](err); ok {
		return nil, fmt.Errorf("jetstream: %w %q: nothing can be read: check the name of the topic", bus.ErrNoStream, pattern)
	}
	if err != nil {
		return nil, err
	}
	if err := r.In(incarnationOf(info), info.State.LastSeq); err != nil {
		return nil, fmt.Errorf("jetstream: topic %q: %w", pattern, err)
	}
	s := &streamReader{
		b: b, stream: info.Config.Name, incarnation: incarnationOf(info), config: &info.Config, pattern: pattern, r: r,
		end: info.State.LastSeq, next: max(1, info.State.FirstSeq), last: r.From.After,
	}
	if until := r.Until.Position.Sequence; until > 0 {
		s.end = min(s.end, until)
	}
	if s.last.Sequence > 0 {
		s.next = s.last.Sequence + 1
		err = s.checkLast(ctx)
	} else if !r.From.Time.IsZero() {
		s.next, err = s.firstSince(ctx, info, r.From.Time)
	}
	return s, err
}

// streamToRead is the stream that has the topic or, where there is none, the one that lists its
// partitions, if the range has them.
func (b *Bus) streamToRead(ctx context.Context, pattern string, r *bus.Range) (*jetstream.StreamInfo, error) {
	info, err := b.findStream(ctx, pattern)
	if _, none := errors.AsType[noStreamError](err); none && r.Partitions {
		if listed, err := b.listedStream(ctx, pattern, bus.PartitionsOf(pattern)); err == nil {
			return listed, nil
		}
	}
	return info, err
}

// readPatience is how long a read is tried again while nothing succeeds, in Options.APITimeout.
const readPatience = 4

// readAll reads the range, and yields the error that ends it before its end.
func (s *streamReader) readAll(ctx context.Context, yield func(bus.Stored, error) bool) {
	for pauses := 0; ; {
		page, err := s.readPage(ctx)
		for i := range page.messages {
			if !s.yieldMessage(&page.messages[i], yield) {
				return
			}
		}
		switch {
		case err == nil && page.last:
			return
		case err == nil:
			pauses = 0
			continue
		case ctx.Err() == nil && s.mayRetry(err):
			s.closeConsumer()
			pauses++
			_ = backoff.Sleep(ctx, backoff.Doubled(20*time.Millisecond, pauses, time.Second)) // The next page says so.
			continue
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		}
		yield(bus.Stored{}, err)
		return
	}
}

// mayRetry reports whether what failed may succeed yet.
func (s *streamReader) mayRetry(err error) bool {
	for _, final := range []error{bus.ErrStreamReplaced, bus.ErrClosed, errors.ErrUnsupported, nats.ErrPermissionViolation} {
		if errors.Is(err, final) {
			return false
		}
	}
	if s.failing.IsZero() {
		s.failing = time.Now()
	}
	patience := readPatience * s.b.o.APITimeout
	if errors.Is(err, bus.ErrNoStream) {
		patience = nameTakenTimeout
	}
	return !withoutJetStream(err) && time.Since(s.failing) < patience
}

// yieldMessage hands out what a page has, unless it is the server's own.
func (s *streamReader) yieldMessage(m *storedMsg, yield func(bus.Stored, error) bool) bool {
	if m.dropped != nil && !yield(bus.Stored{}, m.dropped) {
		return false
	}
	if m.msg == nil || !s.r.Selects(s.pattern, bus.TopicOf(m.msg.Subject)) || isServerMessage(m.msg, s.config) {
		return true
	}
	at := deliveryInfo{sequence: m.at.Sequence, stored: m.at.Stored.UnixNano()}
	event, malformed := decodeMessage(m.msg, s.stream, at, s.b.o.Envelopes)
	if s.r.HeadersOnly {
		event.Data = nil
	}
	return yield(bus.Stored{Event: event, At: m.at, Malformed: malformed}, nil)
}

// isServerMessage is as serverMessage, also where only headers were delivered.
func isServerMessage(m *nats.Msg, c *jetstream.StreamConfig) bool {
	if size := m.Header.Get(nats.MsgSize); size != "" && size != "0" {
		headers := nats.Msg{Header: m.Header, Data: []byte(size)} // It is not empty.
		return serverMessage(&headers, mayHaveSchedules(c)) != ""
	}
	return serverMessage(m, mayHaveSchedules(c)) != ""
}

// readPage reads what comes next. A page may be empty.
func (s *streamReader) readPage(ctx context.Context) (page readPage, err error) {
	if !s.r.Until.Follow && s.next > s.end {
		return readPage{last: true}, nil
	}
	var messages []storedMsg
	if s.byConsumer() {
		if messages, err = s.pullMessages(ctx); err != nil {
			return page, err
		}
	}
	if len(messages) == 0 {
		return s.readNext(ctx)
	}
	s.missed = 0
	return s.acceptMessages(ctx, messages)
}

// readNext asks the stream's leader for the next messages, or whether there are none. What it has
// to say of the stream holds for the messages if it is said before and after them.
func (s *streamReader) readNext(ctx context.Context) (page readPage, err error) {
	before, err := s.checkStream(ctx)
	if err != nil {
		return page, err
	}
	messages, err := s.getMessages(ctx)
	if err != nil {
		return page, err
	}
	after, err := s.checkStream(ctx)
	switch {
	case err != nil:
		return page, err
	case len(messages) > 0 && !s.byConsumer():
		return s.acceptMessages(ctx, messages)
	case len(messages) > 0 && (s.r.Until.Follow || messages[0].at.Sequence <= s.end):
		if s.missed++; s.missed == 1 {
			return page, nil // It may have been stored just now.
		}
		s.missed = 0
		return page, fmt.Errorf("jetstream: stream %q has sequence %d for %q, and its consumer did not deliver it", s.stream, messages[0].at.Sequence, s.pattern)
	}
	end := s.end
	if s.r.Until.Follow {
		end = before.State.LastSeq
		if !s.byConsumer() {
			_ = backoff.Sleep(ctx, queuePoll) // The next request fails as well if ctx has ended.
		}
	}
	if dropped := s.droppedBefore(after, end+1); dropped != nil {
		page.messages = []storedMsg{{dropped: dropped}}
	}
	s.next, s.failing = max(s.next, end+1), time.Time{}
	return page, nil
}

// byConsumer reports whether a consumer may read the stream without changing what it keeps.
func (s *streamReader) byConsumer() bool { return s.config.Retention == jetstream.LimitsPolicy }

// queuePoll is how often a stream is looked at that is followed without a consumer.
const queuePoll = 250 * time.Millisecond

// acceptMessages cuts messages off at the end of the range, and finds out whether those that are
// missing between them were dropped.
func (s *streamReader) acceptMessages(ctx context.Context, messages []storedMsg) (page readPage, err error) {
	var info *jetstream.StreamInfo
	for i := range messages {
		m := &messages[i]
		if m.at.Sequence > s.next && info == nil {
			if info, err = s.checkStream(ctx); err != nil {
				return page, err
			}
		}
		beyond := !s.r.Until.Follow && m.at.Sequence > s.end
		if m.at.Sequence > s.next {
			before := m.at.Sequence
			if beyond {
				before = s.end + 1
			}
			m.dropped = s.droppedBefore(info, before)
		}
		if page.last = beyond || s.r.Until.Ends(m.at); page.last {
			page.messages = append(page.messages, storedMsg{dropped: m.dropped})
			return page, nil
		}
		page.messages = append(page.messages, *m)
		s.next, s.last, s.failing = m.at.Sequence+1, m.at, time.Time{}
	}
	return page, nil
}

// droppedBefore returns what the stream dropped between what was read and a sequence; nil: nothing.
func (s *streamReader) droppedBefore(info *jetstream.StreamInfo, sequence uint64) *bus.DroppedError {
	if first := min(info.State.FirstSeq, sequence); s.next < first {
		return &bus.DroppedError{Stream: s.incarnation, First: s.next, Last: first - 1}
	}
	return nil
}

// checkStream reads the stream, and returns why it does not continue what was read of it.
func (s *streamReader) checkStream(ctx context.Context) (*jetstream.StreamInfo, error) {
	info, err := s.b.streamInfo(ctx, s.stream)
	switch {
	case err != nil:
		return nil, missingStream(err)
	case incarnationOf(info) != s.incarnation:
		return nil, fmt.Errorf("jetstream: %w: stream %q was made again, it was %q", bus.ErrStreamReplaced, incarnationOf(info), s.incarnation)
	case info.State.LastSeq+1 < s.next:
		return nil, fmt.Errorf("jetstream: %w: stream %q ends at sequence %d and was read to %d: it was restored from an older copy, or lost its end",
			bus.ErrStreamReplaced, s.stream, info.State.LastSeq, s.next-1)
	}
	return info, nil
}

// checkLast returns ErrStreamReplaced if another message lies where the last one was read. Where
// there is none any more, that proves nothing.
func (s *streamReader) checkLast(ctx context.Context) error {
	m, err := s.b.readStoredMessage(ctx, s.last)
	if err == nil && m != nil && !m.Time.Equal(s.last.Stored) {
		err = fmt.Errorf("jetstream: %w: sequence %d of stream %q is another event now: the stream was restored", bus.ErrStreamReplaced, s.last.Sequence, s.stream)
	}
	return err
}

func (s *streamReader) positionOf(sequence uint64, stored time.Time) bus.Position {
	return bus.Position{Stream: s.incarnation, Sequence: sequence, Stored: stored.UTC()}
}

// missingStream makes bus.ErrNoStream of the server's own error.
func missingStream(err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: %w", bus.ErrNoStream, err)
	}
	return err
}
