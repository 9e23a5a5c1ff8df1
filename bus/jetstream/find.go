package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

var _ bus.Finder = (*Bus)(nil)

// findsAtOnce is how many events are looked up at the same time.
const findsAtOnce = 32

// Find implements bus.Finder. It asks the stream's leader, for a replica may be behind, with one
// request for each position, which takes the permission to publish to
// $JS.API.STREAM.MSG.GET.<stream>. With Options.BindOnly it is errors.ErrUnsupported.
func (b *Bus) Find(ctx context.Context, at []bus.Position) ([]time.Time, error) {
	out := make([]time.Time, len(at))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, findsAtOnce)
	var asking sync.WaitGroup
	for i, p := range at {
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			m, err := b.readStoredMessage(ctx, p)
			if err != nil {
				cancel(err)
			} else if m != nil {
				out[i] = m.Time
			}
		})
	}
	asking.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return out, nil
}

// Get implements bus.Finder. It asks as Find does.
func (b *Bus) Get(ctx context.Context, at bus.Position) (bus.Event, error) {
	m, err := b.readStoredMessage(ctx, at)
	if err != nil {
		return bus.Event{}, err
	}
	if m == nil || !m.Time.Equal(at.Stored) {
		return bus.Event{}, fmt.Errorf("jetstream: sequence %d of stream %q, stored at %v: %w",
			at.Sequence, streamNameOf(at), at.Stored, bus.ErrNoEvent)
	}
	msg, err := m.decode()
	if err != nil {
		return bus.Event{}, fmt.Errorf("jetstream: stream %q: %w", streamNameOf(at), err)
	}
	return decodeMessage(msg, streamNameOf(at), deliveryInfo{sequence: m.Sequence, stored: m.Time.UnixNano()}, b.o.Envelopes)
}

var _ bus.NextFinder = (*Bus)(nil)

// FindNext implements bus.NextFinder. It asks as Find does.
func (b *Bus) FindNext(ctx context.Context, pattern string, after bus.Position) (bus.Position, error) {
	name := streamNameOf(after)
	if b.o.BindOnly {
		return bus.Position{}, fmt.Errorf("jetstream: a single event of stream %q is not read, for Options.BindOnly is set: %w", name, errors.ErrUnsupported)
	}
	doing := fmt.Sprintf("find %q behind sequence %d of stream %q", pattern, after.Sequence, name)
	m, err := b.nextMessage(ctx, doing, name, []string{bus.FilterOf(pattern)}, after.Sequence+1)
	if err != nil || m == nil {
		return bus.Position{}, err
	}
	return bus.Position{Stream: after.Stream, Sequence: m.Sequence, Stored: m.Time.UTC()}, nil
}

// storedMessage is a message as the server returns it.
type storedMessage struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Header   []byte    `json:"hdrs"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

// decode returns the message as the client reads it.
func (m *storedMessage) decode() (*nats.Msg, error) {
	msg := &nats.Msg{Subject: m.Subject, Data: m.Data}
	if len(m.Header) == 0 {
		return msg, nil
	}
	var err error
	if msg.Header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
		return nil, fmt.Errorf("the headers at sequence %d cannot be read: %w", m.Sequence, err)
	}
	return msg, nil
}

// readStoredMessage reads the message under the sequence of a position; nil: there is none.
func (b *Bus) readStoredMessage(ctx context.Context, at bus.Position) (*storedMessage, error) {
	name := streamNameOf(at)
	if b.o.BindOnly {
		return nil, fmt.Errorf("jetstream: a single event of stream %q is not read, for Options.BindOnly is set: %w", name, errors.ErrUnsupported)
	}
	if at.Sequence == 0 {
		return nil, nil //nolint:nilnil // no event has this sequence
	}
	return b.requestMessage(ctx, fmt.Sprintf("read sequence %d of stream %q", at.Sequence, name), name, messageRequest{Sequence: at.Sequence})
}

// messageRequest asks for the message under a sequence or, with a subject, for the first one of
// that from the sequence on. A subject may be a pattern.
type messageRequest struct {
	Sequence uint64 `json:"seq,omitempty"`
	Subject  string `json:"next_by_subj,omitempty"`
	Last     string `json:"last_by_subj,omitempty"` // alone: the last one of a subject
}

// nextMessage asks a stream for the first message of what filters cover, at a sequence or after it;
// nil: there is none.
func (b *Bus) nextMessage(ctx context.Context, doing, stream string, filters []string, from uint64) (first *storedMessage, err error) {
	for _, filter := range filters {
		m, err := b.requestMessage(ctx, doing, stream, messageRequest{Sequence: from, Subject: filter})
		if err != nil {
			return nil, err
		}
		if m != nil && (first == nil || m.Sequence < first.Sequence) {
			first = m
		}
	}
	return first, nil
}

// requestMessage asks a stream for a message; nil: there is none. A request that is not permitted
// is errors.ErrUnsupported.
func (b *Bus) requestMessage(ctx context.Context, doing, stream string, request messageRequest) (*storedMessage, error) {
	ctx, cancel := b.withOptionalTimeout(ctx)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("jetstream: %s: %w", doing, err)
	}
	m, err := b.nc.RequestWithContext(ctx, b.api+"STREAM.MSG.GET."+stream, body)
	if err != nil {
		err = b.wrapRequestError(doing, err)
		if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "STREAM.MSG.GET."+stream) {
			err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
		return nil, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *storedMessage      `json:"message"`
	}
	err = json.Unmarshal(m.Data, &answer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("jetstream: %s: the answer cannot be read: %w", doing, err)
	case answer.Error == nil && answer.Message == nil:
		return nil, fmt.Errorf("jetstream: %s: the answer has no message: %w", doing, jetstream.ErrInvalidJetStreamResponse)
	case answer.Error == nil:
		return answer.Message, nil
	case answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil //nolint:nilnil // it is gone
	case answer.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		return nil, fmt.Errorf("jetstream: %s: %w: %w", doing, bus.ErrNoStream, answer.Error)
	}
	return nil, b.wrapRequestError(doing, answer.Error)
}

// streamNameOf is the name of the stream of a position.
func streamNameOf(at bus.Position) string {
	return at.Stream[:max(0, strings.LastIndexByte(at.Stream, '@'))]
}
