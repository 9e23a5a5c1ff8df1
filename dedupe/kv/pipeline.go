package kv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// requestPipeline sends requests without waiting for the answer of one before the next goes out.
// One subscription takes all the answers: each request has a reply subject of its own,
// <inbox>.<batch>.<place>. Safe for concurrent use.
type requestPipeline struct {
	nc    *nats.Conn
	inbox string
	sub   *nats.Subscription
	// window holds one for each request that waits for its answer.
	window chan struct{}
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	last    uint64
	batches map[uint64]*requestBatch
}

// requestBatch is a number of requests that are waited for together.
type requestBatch struct {
	answers  []*nats.Msg
	answered int
	complete chan struct{}
}

func newRequestPipeline(nc *nats.Conn, window int) (*requestPipeline, error) {
	x := &requestPipeline{
		nc: nc, inbox: nc.NewInbox() + ".",
		window: make(chan struct{}, window), closed: make(chan struct{}), batches: map[uint64]*requestBatch{},
	}
	sub, err := nc.Subscribe(x.inbox+"*.*", x.handleAnswer)
	if err != nil {
		return nil, fmt.Errorf("subscribe to answers: %w", connectionError(nc, err))
	}
	x.sub = sub
	// The window bounds what can be pending, and an answer that is dropped would be
	// waited for in vain.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("subscribe to answers: %w", errors.Join(connectionError(nc, err), x.close()))
	}
	return x, nil
}

// close ends the subscription, and the calls in progress with ErrClosed.
func (x *requestPipeline) close() error {
	var err error
	x.once.Do(func() {
		close(x.closed)
		err = x.sub.Unsubscribe()
	})
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		return nil
	}
	return err
}

// sendAll sends n requests, which request makes, and waits for all answers, parallel to them. After
// an error some may have been answered, and all may have been done.
func (x *requestPipeline) sendAll(ctx context.Context, n int, request func(i int) *nats.Msg) ([]*nats.Msg, error) {
	if n == 0 {
		return nil, nil
	}
	lost := x.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer x.nc.RemoveStatusListener(lost)
	// What is sent while disconnected would be buffered, and done long after the call has failed.
	if !x.nc.IsConnected() {
		return nil, connectionError(x.nc, nil)
	}
	id, b := x.openBatch(n)
	sent := 0
	defer func() { x.forgetBatch(id, b, sent) }()
	prefix := x.inbox + strconv.FormatUint(id, 36) + "."
	for i := range n {
		if err := x.acquireSlot(ctx, lost); err != nil {
			return nil, err
		}
		sent++
		m := request(i)
		m.Reply = prefix + strconv.Itoa(i)
		if err := x.nc.PublishMsg(m); err != nil {
			return nil, fmt.Errorf("send to %s: %w", m.Subject, connectionError(x.nc, err))
		}
	}
	select {
	case <-b.complete:
		return b.answers, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-lost:
		return nil, connectionError(x.nc, nil)
	case <-x.closed:
		return nil, ErrClosed
	}
}

// acquireSlot waits for room in the window.
func (x *requestPipeline) acquireSlot(ctx context.Context, lost <-chan nats.Status) error {
	select {
	case x.window <- struct{}{}:
		return nil
	default:
	}
	select {
	case x.window <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-lost:
		return connectionError(x.nc, nil)
	case <-x.closed:
		return ErrClosed
	}
}

func (x *requestPipeline) openBatch(n int) (uint64, *requestBatch) {
	b := &requestBatch{answers: make([]*nats.Msg, n), complete: make(chan struct{})}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last++
	x.batches[x.last] = b
	return x.last, b
}

// forgetBatch gives back what the unanswered requests hold of the window.
func (x *requestPipeline) forgetBatch(id uint64, b *requestBatch, sent int) {
	x.mu.Lock()
	delete(x.batches, id)
	unanswered := sent - b.answered
	x.mu.Unlock()
	for range unanswered {
		<-x.window
	}
}

// handleAnswer is called with each answer, in the subscription's own goroutine. Late ones
// find no batch.
func (x *requestPipeline) handleAnswer(m *nats.Msg) {
	batchID, place, _ := strings.Cut(strings.TrimPrefix(m.Subject, x.inbox), ".")
	id, err := strconv.ParseUint(batchID, 36, 64)
	i, err2 := strconv.Atoi(place)
	if err != nil || err2 != nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	b := x.batches[id]
	if b == nil || i < 0 || i >= len(b.answers) || b.answers[i] != nil {
		return
	}
	b.answers[i] = m
	b.answered++
	<-x.window
	if b.answered == len(b.answers) {
		close(b.complete)
	}
}

// connectionError adds the state of the connection to a failure.
func connectionError(nc *nats.Conn, err error) error {
	var state error
	switch {
	case nc.IsClosed():
		state = ErrClosed
	case !nc.IsConnected() || err == nil:
		state = ErrDisconnected
	}
	switch {
	case state == nil:
		return err
	case err == nil:
		return state
	}
	return fmt.Errorf("%w: %w", state, err)
}
