package demo

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// publishWindow is how many messages may be on their way at once.
const publishWindow = 4000

// publishAll stores the messages, and returns how many are. They have no Nats-Msg-Id, so the bus
// knows nothing of copies.
func publishAll(ctx context.Context, js jetstream.JetStream, topic string, ids []string) (stored int, err error) {
	answers := make([]jetstream.PubAckFuture, 0, len(ids))
	for _, id := range ids {
		answer, err := js.PublishMsgAsync(newMessage(topic, id), jetstream.WithStallWait(defaultPatience))
		if err != nil {
			return 0, fmt.Errorf("publish %s: %w", id, err)
		}
		answers = append(answers, answer)
	}
	for i, answer := range answers {
		select {
		case <-answer.Ok():
		case err := <-answer.Err():
			return i, fmt.Errorf("publish %s: %w", ids[i], err)
		case <-ctx.Done():
			return i, context.Cause(ctx)
		}
	}
	return len(ids), nil
}

func newMessage(topic, id string) *nats.Msg {
	m := nats.NewMsg(topic)
	m.Header = nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-source": {"onceish"}, "ce-type": {"order.placed"}, "ce-datacontenttype": {"application/json"},
	}
	m.Data = []byte(`{"id":"` + id + `"}`)
	return m
}

// eventProducer publishes what it is given, in the background, until stop.
type eventProducer struct {
	cancel context.CancelFunc
	more   chan []string
	ended  chan struct{}

	mu     sync.Mutex
	left   int // given, and not yet published
	stored int
	err    error // the first; it publishes nothing more
}

// startProducer returns a producer that can be given things so many times.
func startProducer(ctx context.Context, js jetstream.JetStream, topic string, times int) *eventProducer {
	ctx, cancel := context.WithCancel(ctx)
	p := &eventProducer{cancel: cancel, more: make(chan []string, times), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		for {
			select {
			case ids := <-p.more:
				n, err := publishAll(ctx, js, topic, ids)
				p.recordPublished(n, err)
			case <-ctx.Done():
				return
			}
		}
	}()
	return p
}

func (p *eventProducer) recordPublished(n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored += n
	p.left--
	p.err = cmp.Or(p.err, err)
}

func (p *eventProducer) addIDs(ids []string) {
	p.mu.Lock()
	p.left++
	p.mu.Unlock()
	p.more <- ids
}

// currentState tells how many messages are stored, whether everything is published that was given,
// and the first error.
func (p *eventProducer) currentState() (stored int, idle bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stored, p.left == 0, p.err
}

// stopAndCount returns how many messages are known to be stored. Repeated calls do no harm.
func (p *eventProducer) stopAndCount() int {
	p.cancel()
	<-p.ended
	stored, _, _ := p.currentState()
	return stored
}
