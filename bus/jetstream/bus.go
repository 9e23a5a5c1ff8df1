package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/natsrequest"
	"github.com/onceish/onceish/internal/natsserver"
)

var _ bus.Bus = (*Bus)(nil)

// Bus is a bus.Bus on a NATS connection. Its methods are safe for concurrent use.
type Bus struct {
	nc   *nats.Conn
	js   jetstream.JetStream
	api  string // prefix of the JetStream API, with its last dot
	o    Options
	log  *slog.Logger
	link *connectionWatch

	recreates bool // cursors are rewound as on servers before resettingServer

	confirmations     *natsrequest.Pipeline
	publishObserver   atomic.Pointer[PublishObserver] // nil: there is none
	warnedOfSchedules atomic.Bool                     // of a stream that may drop them
}

// New makes a Bus on a connection, which stays the caller's. It asks the server nothing. A nil o
// means the defaults. It warns when the connection may be closed for good some day, for then the
// process is lost with it: see ConnectionOptions. A server older than OldestServer is
// ErrServerTooOld; of a cluster only the server that the connection is to at this time is looked
// at, and none while the connection is down.
func New(nc *nats.Conn, o *Options) (*Bus, error) {
	if nc == nil {
		return nil, errors.New("jetstream: the connection is nil: connect with nats.Connect first")
	}
	options, err := o.complete()
	if err != nil {
		return nil, err
	}
	if err := natsserver.Check(nc); err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	b := &Bus{nc: nc, o: options, log: options.Logger, api: options.prefixOfAPI()}
	if b.js, err = jetstream.NewWithAPIPrefix(nc, b.api, jetstream.WithDefaultTimeout(options.APITimeout)); err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	b.warnOfConnection()
	b.link, b.confirmations = watchConnection(nc), natsrequest.New(nc, options.PublishWindow)
	return b, nil
}

// Close ends all Sources and the publishing of this Bus, and leaves the connection open. Close the
// Sources first: what they have not settled by then is delivered again. Repeated calls do nothing.
func (b *Bus) Close() {
	b.link.close()
	_ = b.confirmations.Close() // It fails when the connection is closed, and then there is nothing to end.
}

// withAPITimeout bounds a request to the server.
func (b *Bus) withAPITimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, b.o.APITimeout)
}

// wrapRequestError says what to try about an error of a request, if there is one.
func (b *Bus) wrapRequestError(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("jetstream: %s: %w", doing, closedError(b.nc))
	case withoutJetStream(err), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("jetstream: %s: nothing at %s answers under %s: enable JetStream for the server (nats-server -js) and for this account, or see Options.APIPrefix and Domain: %w",
			doing, b.nc.ConnectedAddr(), b.api, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		if last := b.nc.LastError(); errors.Is(last, nats.ErrPermissionViolation) {
			return fmt.Errorf("jetstream: %s: %w; the connection's last error: %w", doing, err, last)
		}
	}
	return fmt.Errorf("jetstream: %s: %w", doing, err)
}
