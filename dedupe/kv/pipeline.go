package kv

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/internal/natsrequest"
)

// requester sends requests and waits for the answers.
type requester interface {
	sendAll(ctx context.Context, n int, request func(i int) *nats.Msg) ([]*nats.Msg, error)
	close() error
}

// requestOne sends one request, and reads its answer like decodeAnswer.
func requestOne(ctx context.Context, r requester, m *nats.Msg, what string, answer interface{ refusal() error }) error {
	answers, err := r.sendAll(ctx, 1, func(int) *nats.Msg { return m })
	if err != nil {
		return err
	}
	return decodeAnswer(answers[0], what, answer)
}

// pipelinedRequester sends all before it waits.
type pipelinedRequester struct {
	nc       *nats.Conn
	pipeline *natsrequest.Pipeline
}

func (r *pipelinedRequester) close() error { return r.pipeline.Close() }

// sendAll sends n requests, which request makes, and waits for all answers, parallel to them. After
// an error some may have been answered, and all may have been done.
func (r *pipelinedRequester) sendAll(ctx context.Context, n int, request func(i int) *nats.Msg) ([]*nats.Msg, error) {
	if n == 0 {
		return nil, nil
	}
	b, err := r.pipeline.Open(n, 0)
	if err != nil {
		return nil, r.endedError(err)
	}
	defer b.Close()
	for i := range n {
		if err := b.Reserve(ctx); err != nil {
			return nil, r.endedError(err)
		}
		m := request(i)
		if err := b.Send(i, m); err != nil {
			return nil, fmt.Errorf("send to %s: %w", m.Subject, connectionError(r.nc, err))
		}
	}
	if err := b.Wait(ctx); err != nil {
		return nil, r.endedError(err)
	}
	answers := make([]*nats.Msg, n)
	for i := range answers {
		answers[i], _ = b.Answer(i)
	}
	return answers, nil
}

// endedError is why a batch ended before all was answered.
func (r *pipelinedRequester) endedError(err error) error {
	switch {
	case errors.Is(err, natsrequest.ErrClosed):
		return ErrClosed
	case errors.Is(err, natsrequest.ErrInterrupted):
		return connectionError(r.nc, nil)
	case r.nc.IsClosed():
		return connectionError(r.nc, err)
	}
	return err
}

// connectionError adds the state of the connection to a failure.
func connectionError(nc *nats.Conn, err error) error {
	state := ErrDisconnected
	switch {
	case nc.IsClosed():
		state = ErrClosed
	case nc.IsConnected() && err != nil:
		return err
	}
	if err == nil {
		return state
	}
	return fmt.Errorf("%w: %w", state, err)
}
