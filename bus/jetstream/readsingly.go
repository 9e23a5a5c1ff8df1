package jetstream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A read gets single messages from a stream's leader where a consumer would change what the stream
// keeps, and where it must be sure that there is none.

// getsAtOnce is how many messages make a page of a stream that is read without a consumer.
const getsAtOnce = 64

// getMessages reads the next messages one after the other: a few, or the next one alone where that
// is only to see whether there is one.
func (s *streamReader) getMessages(ctx context.Context) (messages []storedMsg, err error) {
	limit, bytes := getsAtOnce, 0
	if s.byConsumer() {
		limit = 1
	}
	for next := s.next; len(messages) < limit && bytes < readBytes; {
		m, err := s.b.nextMessage(ctx, fmt.Sprintf("read stream %q from sequence %d", s.stream, next), s.stream, s.r.Filters(s.pattern), next)
		if err != nil || m == nil {
			return messages, err
		}
		msg, err := m.decode()
		if err != nil {
			return nil, fmt.Errorf("jetstream: stream %q: %w", s.stream, err)
		}
		messages = append(messages, storedMsg{at: s.positionOf(m.Sequence, m.Time), msg: msg})
		next, bytes = m.Sequence+1, bytes+len(m.Data)
	}
	return messages, nil
}

// firstSince finds the first sequence that was stored at or after a time. Like the server it
// searches as if times never stepped back.
func (s *streamReader) firstSince(ctx context.Context, info *jetstream.StreamInfo, from time.Time) (uint64, error) {
	switch {
	case info.State.Msgs == 0 || from.After(info.State.LastTime):
		return info.State.LastSeq + 1, nil
	case !from.After(info.State.FirstTime):
		return info.State.FirstSeq, nil
	}
	low, high := info.State.FirstSeq, info.State.LastSeq // The answer is in low … high.
	for low < high {
		middle := low + (high-low)/2
		m, err := s.nextOf(ctx, middle)
		switch {
		case err != nil:
			return 0, err
		case m == nil:
			high = middle
		case m.Time.Before(from):
			low = min(m.Sequence+1, high)
		default:
			high = middle
		}
	}
	return low, nil
}

// nextOf reads the first message at a sequence or after it, of any subject; nil: there is none.
func (s *streamReader) nextOf(ctx context.Context, sequence uint64) (*storedMessage, error) {
	return s.b.requestMessage(ctx, fmt.Sprintf("read stream %q from sequence %d", s.stream, sequence), s.stream, messageRequest{Sequence: sequence, Subject: allSubjects})
}
