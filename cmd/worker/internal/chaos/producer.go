package chaos

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/backoff"
)

const (
	// publishTimeout is how long a confirmation may take before the message is published again.
	publishTimeout = 5 * time.Second
	// A message that was not confirmed waits before it is published again, longer each time: a
	// server that is too slow for all of them is not given more.
	firstPublishPause, longestPublishPause = 100 * time.Millisecond, 5 * time.Second
	// publishPatience is how much longer nothing may happen while messages are not confirmed: a few
	// of them are published twice in it.
	publishPatience = 2 * (publishTimeout + longestPublishPause)
)

// eventProducer publishes messages when their time has come, whether or not earlier ones are
// confirmed, and each of them until it is.
type eventProducer struct {
	js     jetstream.JetStream
	cancel context.CancelFunc
	wg     sync.WaitGroup

	left atomic.Int64              // messages that are not confirmed
	last map[string]*atomic.Uint64 // the largest sequence of each topic that was confirmed
}

// startProducer starts to publish. Stop ends it.
func startProducer(ctx context.Context, js jetstream.JetStream, messages []message) *eventProducer {
	ctx, cancel := context.WithCancel(ctx)
	p := &eventProducer{js: js, cancel: cancel, last: make(map[string]*atomic.Uint64)}
	for i := range messages {
		if topic := messages[i].topic; p.last[topic] == nil {
			p.last[topic] = new(atomic.Uint64)
		}
	}
	p.left.Store(int64(len(messages)))
	p.wg.Go(func() { p.publishOnTime(ctx, messages) })
	return p
}

func (p *eventProducer) publishOnTime(ctx context.Context, messages []message) {
	begun := time.Now()
	wait := time.NewTimer(0)
	defer wait.Stop()
	for _, m := range messages {
		wait.Reset(time.Until(begun.Add(m.at)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
		p.wg.Go(func() { p.publishUntilConfirmed(ctx, m) })
	}
}

func (p *eventProducer) publishUntilConfirmed(ctx context.Context, m message) {
	for failures := 0; ctx.Err() == nil; failures++ {
		confirming, cancel := context.WithTimeout(ctx, publishTimeout)
		ack, err := p.js.PublishMsg(confirming, newMessage(m), jetstream.WithRetryAttempts(0))
		cancel()
		if err == nil {
			p.recordConfirmed(m.topic, ack.Sequence)
			return
		}
		_ = backoff.Sleep(ctx, backoff.Doubled(firstPublishPause, failures, longestPublishPause)) // the loop looks at ctx
	}
}

func (p *eventProducer) recordConfirmed(topic string, sequence uint64) {
	for {
		last := p.last[topic].Load()
		if last >= sequence || p.last[topic].CompareAndSwap(last, sequence) {
			break
		}
	}
	p.left.Add(-1)
}

// isDone reports whether everything is confirmed.
func (p *eventProducer) isDone() bool { return p.left.Load() == 0 }

// lastOf is the largest sequence of a topic that was confirmed; 0: nothing is published to it.
func (p *eventProducer) lastOf(topic string) uint64 {
	if last := p.last[topic]; last != nil {
		return last.Load()
	}
	return 0
}

// stop ends it. Repeated calls do no harm.
func (p *eventProducer) stop() {
	p.cancel()
	p.wg.Wait()
}

// newMessage has no Nats-Msg-Id, so the bus knows nothing of copies.
func newMessage(e message) *nats.Msg {
	m := nats.NewMsg(bus.SubjectOf(e.topic))
	m.Header = nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {e.id}, "ce-source": {"onceish"}, "ce-type": {"order.placed"}, "ce-datacontenttype": {"application/json"},
		"ce-partitionkey": {e.key},
	}
	if e.data != "" {
		m.Header["ce-type"], m.Data = []string{e.topic}, []byte(e.data)
		return m
	}
	m.Data = fmt.Appendf(nil, `{"id":%q}`, e.id)
	return m
}
