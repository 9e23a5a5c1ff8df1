package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// plainWindow is how many messages may be on their way at once. It is what nats.go has by default.
const plainWindow = 4000

// plainSink publishes with nats.go's PublishMsgAsync, and a Nats-Msg-Id.
type plainSink struct {
	js jetstream.JetStream
	*recorder

	// confirms: what is confirmed is what is measured.
	confirms bool
	patience time.Duration

	mu      sync.Mutex
	pending int           // sent and not confirmed
	idle    chan struct{} // closed when pending is 0; nil: nobody waits
}

func newPlainSink(nc *nats.Conn, r *recorder, confirms bool, patience time.Duration) (*plainSink, error) {
	p := &plainSink{recorder: r, confirms: confirms, patience: patience}
	var err error
	p.js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(plainWindow), jetstream.WithPublishAsyncTimeout(patience),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, ack *jetstream.PubAck) { p.confirm(m, ack.Duplicate) }),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) {
			p.fail(fmt.Errorf("publish with nats.go: %w", err))
			p.addPending(-1)
		}))
	return p, err
}

func (p *plainSink) confirm(m *nats.Msg, duplicate bool) {
	if p.confirms {
		p.confirmEvent(m.Data, duplicate, time.Now())
	}
	p.addPending(-1)
}

func (p *plainSink) addPending(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending += n; p.pending == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

func (p *plainSink) send(_ context.Context, stamps []eventStamp) error {
	if p.confirms {
		p.beginBatch(stamps, time.Now())
	}
	for _, s := range stamps {
		if err := p.publish(p.cell.message(s)); err != nil {
			return err
		}
		if !p.cell.isCopied(s.index) {
			continue
		}
		m := p.cell.message(s)
		if !p.confirms {
			m = p.cell.copyMessage(s) // the consumer is to get it
		}
		if err := p.publish(m); err != nil {
			return err
		}
	}
	return p.failure()
}

// sendCopies sends second messages of events.
func (p *plainSink) sendCopies(stamps []eventStamp) error {
	for _, s := range stamps {
		if err := p.publish(p.cell.copyMessage(s)); err != nil {
			return err
		}
	}
	return p.failure()
}

func (p *plainSink) publish(m *nats.Msg) error {
	p.addPending(1)
	if _, err := p.js.PublishMsgAsync(m, jetstream.WithStallWait(p.patience)); err != nil {
		p.addPending(-1)
		return fmt.Errorf("publish with nats.go: %w", err)
	}
	return nil
}

func (p *plainSink) finish(ctx context.Context) error {
	idle := make(chan struct{})
	p.mu.Lock()
	if p.pending == 0 {
		close(idle)
	} else {
		p.idle = idle
	}
	p.mu.Unlock()
	select {
	case <-idle:
		return p.failure()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close ends what nats.go has begun for it.
func (p *plainSink) close() { p.js.CleanupPublisher() }
