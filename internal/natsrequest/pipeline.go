package natsrequest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

var (
	// ErrClosed is why a batch ends when its Pipeline is closed.
	ErrClosed = errors.New("closed")
	// ErrInterrupted is why a batch ends when the connection goes down: what was sent over it is
	// not answered over the next one.
	ErrInterrupted = errors.New("the connection went down meanwhile")
	// ErrSilent is why a batch ends when nothing was answered for as long as it may wait.
	ErrSilent = errors.New("no answer")
)

// Pipeline sends batches of requests, to which all answers come through one subscription. It is
// safe for concurrent use.
type Pipeline struct {
	nc      *nats.Conn
	window  chan struct{} // holds one for each request that waits for its answer
	closing chan struct{}

	mu      sync.Mutex
	prefix  string             // of the inbox, with its last dot
	inbox   *nats.Subscription // nil: nothing was sent yet
	batches map[uint64]*Batch
	last    uint64
	closed  bool
}

// New makes a Pipeline on a connection, which stays the caller's. At most window requests wait for
// their answers at a time.
func New(nc *nats.Conn, window int) *Pipeline {
	return &Pipeline{nc: nc, window: make(chan struct{}, window), closing: make(chan struct{}), batches: make(map[uint64]*Batch)}
}

// Pending is how many requests wait for their answers, and how many batches are open.
func (p *Pipeline) Pending() (requests, batches int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.window), len(p.batches)
}

// Close ends the subscription, and the batches in progress with ErrClosed. Repeated
// calls do nothing.
func (p *Pipeline) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	close(p.closing)
	if p.inbox == nil {
		return nil
	}
	err := p.inbox.Unsubscribe()
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		return nil // there is nothing to end
	}
	return err
}

func (p *Pipeline) subscribeLocked() error {
	switch {
	case p.closed:
		return ErrClosed
	case p.inbox != nil:
		return nil
	}
	prefix := p.nc.NewInbox() + "."
	inbox, err := p.nc.Subscribe(prefix+"*.*", p.handleAnswer)
	if err == nil {
		// The window bounds what can be pending, and an answer that is dropped would be
		// waited for in vain.
		err = inbox.SetPendingLimits(-1, -1)
	}
	if err != nil {
		return fmt.Errorf("subscribe an inbox for answers: %w", err)
	}
	p.prefix, p.inbox = prefix, inbox
	go p.followConnection(p.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED))
	return nil
}

// followConnection interrupts batches whose answers cannot come any more.
func (p *Pipeline) followConnection(changes chan nats.Status) {
	defer p.nc.RemoveStatusListener(changes)
	defer p.interruptBatches() // those of a connection that is closed
	for !p.nc.IsClosed() {
		select {
		case <-changes:
			p.interruptBatches()
		case <-p.closing:
			return
		}
	}
}

func (p *Pipeline) interruptBatches() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.batches {
		if !p.nc.IsConnected() || p.nc.Stats().Reconnects != b.reconnects {
			b.interruptOnce.Do(func() { close(b.interrupted) })
		}
	}
}

// handleAnswer is called with each answer. One that comes too late finds no batch.
func (p *Pipeline) handleAnswer(m *nats.Msg) {
	batch, place, _ := strings.Cut(m.Subject[min(len(p.prefix), len(m.Subject)):], ".")
	number, err := strconv.ParseUint(batch, 36, 64)
	i, err2 := strconv.Atoi(place)
	if err != nil || err2 != nil {
		return
	}
	p.mu.Lock()
	b := p.batches[number]
	p.mu.Unlock()
	if b != nil {
		b.recordAnswer(i, m)
	}
}
