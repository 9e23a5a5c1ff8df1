package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// readBatch and readBytes bound what a read asks for at once, and so what it holds. A message
	// that is larger comes alone.
	readBatch = 1_000
	readBytes = 4 << 20
	// readInactivity is after how long the server deletes the consumer of a read that stalls. The
	// read makes another one then.
	readInactivity = time.Minute
	// followExpires is how long the server holds the pull of a read that follows the stream.
	followExpires = 2 * time.Second
)

// readConsumer is an ephemeral consumer, and the one pull that is open on it.
type readConsumer struct {
	name      string
	inbox     pullInbox
	incoming  chan *nats.Msg
	state     *connectionState // of the link when it was made
	delivered uint64           // messages that came
	pull      uint64           // number of the last pull
	requested int              // messages that it may still bring; 0: it is over
	single    bool             // the next message is larger than readBytes
}

// pullMessages returns what the consumer has next, which may be nothing. Where the range follows
// the stream it waits for a while.
func (s *streamReader) pullMessages(ctx context.Context) ([]storedMsg, error) {
	if s.consumer == nil {
		if err := s.openConsumer(ctx); err != nil {
			return nil, err
		}
	}
	c := s.consumer
	if c.requested == 0 {
		if err := s.sendPull(); err != nil {
			return nil, err
		}
	}
	var messages []storedMsg
	timeout := time.NewTimer(s.b.o.APITimeout + followExpires)
	defer timeout.Stop()
	for c.requested > 0 && (len(messages) == 0 || len(c.incoming) > 0) {
		select {
		case m := <-c.incoming:
			got, err := s.readMessage(m)
			if err != nil {
				return nil, err
			}
			if got.msg != nil {
				messages = append(messages, got)
			}
		case <-c.state.changed:
			return nil, fmt.Errorf("jetstream: read stream %q: %w", s.stream, nats.ErrDisconnected)
		case <-timeout.C:
			return nil, fmt.Errorf("jetstream: read stream %q: a pull was not answered: %w", s.stream, nats.ErrTimeout)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return messages, nil
}

// openConsumer makes a consumer that goes on where the read stands. Only then does it look whether
// the stream is still the same: the consumer would be gone with the stream.
func (s *streamReader) openConsumer(ctx context.Context) (err error) {
	c := &readConsumer{incoming: make(chan *nats.Msg, readBatch+16), state: s.b.link.current()}
	if c.state.closed != nil {
		return c.state.closed
	}
	bounded, cancel := s.b.withAPITimeout(ctx)
	defer cancel()
	inactive := readInactivity
	if limit := s.config.ConsumerLimits.InactiveThreshold; limit > 0 {
		inactive = min(inactive, limit)
	}
	config := jetstream.ConsumerConfig{
		Description: "reads " + s.pattern, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: s.next,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: inactive, HeadersOnly: s.r.HeadersOnly,
	}
	switch filters := s.r.Filters(s.pattern); {
	case len(filters) == 1:
		config.FilterSubject = filters[0]
	case s.b.knowsSeveralFilters():
		config.FilterSubjects = filters
	default: // it reads all, and leaves out the rest by itself
	}
	made, err := s.b.js.CreateConsumer(bounded, s.stream, config)
	if err != nil {
		return missingStream(s.readNotPermitted(s.b.wrapRequestError(fmt.Sprintf("make a consumer to read stream %q", s.stream), err)))
	}
	s.consumer, c.name = c, made.CachedInfo().Name
	c.inbox.prefix = s.b.nc.NewInbox() + "."
	if c.inbox.sub, err = s.b.nc.ChanSubscribe(c.inbox.prefix+"*", c.incoming); err != nil {
		return s.b.wrapRequestError("subscribe an inbox", err)
	}
	if _, err = s.checkStream(ctx); err == nil && s.last.Sequence > 0 {
		err = s.checkLast(ctx)
	}
	return err
}

// readNotPermitted marks an error as errors.ErrUnsupported if the user may not make consumers on
// the stream.
func (s *streamReader) readNotPermitted(err error) error {
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "CONSUMER.CREATE."+s.stream) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// closeConsumer deletes the consumer, if there is one. What the server does not hear of it deletes
// after readInactivity.
func (s *streamReader) closeConsumer() {
	c := s.consumer
	if c == nil {
		return
	}
	s.consumer = nil
	if c.inbox.sub != nil {
		c.inbox.close()
	}
	_ = s.b.nc.Publish(s.b.api+"CONSUMER.DELETE."+s.stream+"."+c.name, nil) // nobody waits for it
}

func (s *streamReader) sendPull() error {
	c := s.consumer
	body := fmt.Sprintf(`{"batch":%d,"max_bytes":%d,`, readBatch, readBytes)
	c.requested = readBatch
	if c.single {
		body, c.requested = `{"batch":1,`, 1
	}
	wait := `"no_wait":true}`
	if s.r.Until.Follow {
		wait = fmt.Sprintf(`"expires":%d}`, followExpires.Nanoseconds())
	}
	c.single = false
	c.pull++
	err := s.b.nc.PublishRequest(s.b.api+"CONSUMER.MSG.NEXT."+s.stream+"."+c.name, c.inbox.replySubject(c.pull), []byte(body+wait))
	if err != nil {
		return fmt.Errorf("jetstream: read stream %q: %w", s.stream, err)
	}
	return nil
}

// readMessage reads a message of the consumer. A status has none.
func (s *streamReader) readMessage(m *nats.Msg) (got storedMsg, err error) {
	c := s.consumer
	if m.Reply == "" {
		return got, c.endPull(m, s.stream)
	}
	a, ok := parseAckSubject(m.Reply)
	if !ok {
		return got, fmt.Errorf("jetstream: read stream %q: a message on %q is no delivery", s.stream, m.Reply)
	}
	c.requested--
	if c.delivered++; consumerSequence(m.Reply) != c.delivered {
		return got, fmt.Errorf("jetstream: read stream %q: delivery %d of consumer %q came, %d was expected: messages got lost on their way",
			s.stream, consumerSequence(m.Reply), c.name, c.delivered)
	}
	return storedMsg{at: s.positionOf(a.sequence, time.Unix(0, a.stored)), msg: m}, nil
}

// endPull reads why a pull ended, if it is the last one. That there is nothing more is no error.
func (c *readConsumer) endPull(m *nats.Msg, stream string) error {
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	switch {
	case code == "100", m.Subject != c.inbox.replySubject(c.pull):
		return nil
	case code == "404", code == "408", code == "409" && strings.EqualFold(text, "Batch Completed"):
	case code == "409" && strings.EqualFold(text, "Message Size Exceeds MaxBytes"):
		c.single = c.requested == readBatch
	default:
		return fmt.Errorf("jetstream: read stream %q: its consumer ended the pull: %s", stream, strings.TrimSpace(code+" "+text))
	}
	c.requested = 0
	return nil
}
