package natsrequest

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Batch is requests that are waited for together. Its methods are for one goroutine.
type Batch struct {
	p             *Pipeline
	number        uint64
	prefix        string // of the requests' reply subjects, with its last dot
	silence       time.Duration
	timer         *time.Timer // nil: silence may last
	reconnects    uint64      // of the connection when the batch was opened
	interrupted   chan struct{}
	interruptOnce sync.Once
	done          chan struct{} // closed when all was sent and answered
	doneOnce      sync.Once

	mu       sync.Mutex
	requests []request
	inFlight int
	allSent  bool
	last     time.Time // when something was answered, or the only request in flight was sent
}

type request struct {
	sent   bool
	answer *nats.Msg
}

// Open begins a batch of up to n requests, which the caller closes. silence is how long nothing may
// be answered while something is in flight: ErrSilent. Zero: any time.
func (p *Pipeline) Open(n int, silence time.Duration) (*Batch, error) {
	b := &Batch{
		p: p, silence: silence, reconnects: p.nc.Stats().Reconnects, interrupted: make(chan struct{}), done: make(chan struct{}),
		requests: make([]request, n),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.subscribeLocked(); err != nil {
		return nil, err
	}
	if !p.nc.IsConnected() { // what is sent would be buffered, and done long after the batch has ended
		return nil, ErrInterrupted
	}
	if silence > 0 {
		b.timer = time.NewTimer(silence)
	}
	p.last++
	b.number, b.prefix = p.last, p.prefix+strconv.FormatUint(p.last, 36)+"."
	p.batches[b.number] = b
	return b, nil
}

// Reserve waits for room in the window, which the next Send takes.
func (b *Batch) Reserve(ctx context.Context) error {
	select {
	case <-b.interrupted:
		return ErrInterrupted
	case <-b.p.closing:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	default:
	}
	select {
	case b.p.window <- struct{}{}:
		return nil
	default:
		return b.await(ctx, b.p.window, nil)
	}
}

// Send sends request i into the room that was reserved. After an error it is as if it had
// never been sent.
func (b *Batch) Send(i int, m *nats.Msg) error {
	reply := make([]byte, 0, len(b.prefix)+8)
	m.Reply = string(strconv.AppendInt(append(reply, b.prefix...), int64(i), 10))
	b.mu.Lock()
	if b.inFlight == 0 {
		b.last = time.Now()
	}
	b.requests[i].sent = true
	b.inFlight++
	b.mu.Unlock()
	err := b.p.nc.PublishMsg(m)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.requests[i].answer == nil {
			b.requests[i].sent = false
			b.leaveWindowLocked()
		}
	}
	return err
}

// Wait waits until all that was sent is answered.
func (b *Batch) Wait(ctx context.Context) error {
	b.mu.Lock()
	b.allSent = true
	left := b.inFlight
	b.mu.Unlock()
	if left == 0 {
		return nil
	}
	return b.await(ctx, nil, b.done)
}

// await waits for room in the window, or for done.
func (b *Batch) await(ctx context.Context, room chan<- struct{}, done <-chan struct{}) error {
	var silent <-chan time.Time
	if b.timer != nil {
		silent = b.timer.C
	}
	for {
		select {
		case room <- struct{}{}:
			return nil
		case <-done:
			return nil
		case <-silent:
			lasted := b.silentFor()
			if lasted >= b.silence {
				b.timer.Reset(0) // for the next call
				return ErrSilent
			}
			b.timer.Reset(b.silence - lasted)
		case <-b.interrupted:
			return ErrInterrupted
		case <-b.p.closing:
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// silentFor is how long nothing was answered though something was in flight.
func (b *Batch) silentFor() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inFlight == 0 {
		return 0
	}
	return time.Since(b.last)
}

func (b *Batch) recordAnswer(i int, m *nats.Msg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i < 0 || i >= len(b.requests) || !b.requests[i].sent || b.requests[i].answer != nil {
		return
	}
	b.requests[i].answer = m
	b.leaveWindowLocked()
	if b.last = time.Now(); b.allSent && b.inFlight == 0 {
		b.doneOnce.Do(func() { close(b.done) })
	}
}

// leaveWindowLocked does not block: the window has one for each request in flight.
func (b *Batch) leaveWindowLocked() {
	b.inFlight--
	<-b.p.window
}

// Answer is what was answered to request i, and whether it was sent at all. It is nil while there
// is no answer.
func (b *Batch) Answer(i int) (answer *nats.Msg, sent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests[i].answer, b.requests[i].sent
}

// Close forgets the batch, and gives back what its requests without an answer hold of the window.
func (b *Batch) Close() {
	if b.timer != nil {
		b.timer.Stop()
	}
	b.p.mu.Lock()
	delete(b.p.batches, b.number)
	b.p.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.requests {
		if r := &b.requests[i]; r.sent && r.answer == nil {
			r.sent = false
			b.leaveWindowLocked()
		}
	}
}
