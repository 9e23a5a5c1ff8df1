package jetstream

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

// connectionWatch watches a connection that belongs to somebody else. Its state is replaced
// whenever the connection goes down, comes up, or did both unseen: who remembers a state can tell
// by comparing pointers that nothing happened since.
type connectionWatch struct {
	nc    *nats.Conn
	state atomic.Pointer[connectionState]
	mu    sync.Mutex            // held to replace the state
	last  atomic.Pointer[error] // of the connection, when it was last read down; nil: none
	stop  context.CancelFunc
	done  chan struct{}
}

type connectionState struct {
	up         bool
	closed     error // why there will be no connection any more
	reconnects uint64
	changed    chan struct{} // closed when another state replaces this one
}

func watchConnection(nc *nats.Conn) *connectionWatch {
	ctx, stop := context.WithCancel(context.Background())
	l := &connectionWatch{nc: nc, stop: stop, done: make(chan struct{})}
	changes := nc.StatusChanged()
	l.state.Store(l.readState())
	go l.followStatus(ctx, changes)
	return l
}

func (l *connectionWatch) followStatus(ctx context.Context, changes chan nats.Status) {
	defer close(l.done)
	defer l.nc.RemoveStatusListener(changes)
	for l.current().closed == nil {
		select {
		case <-changes:
			l.refreshState()
		case <-ctx.Done():
			l.mu.Lock()
			l.replaceStateLocked(&connectionState{closed: fmt.Errorf("%w: Bus.Close was called", bus.ErrClosed), changed: make(chan struct{})})
			l.mu.Unlock()
		}
	}
}

func (l *connectionWatch) current() *connectionState { return l.state.Load() }

// readState asks the connection, which may take as long as connecting: meanwhile the client holds
// its lock, also while a server does not answer.
func (l *connectionWatch) readState() *connectionState {
	s := &connectionState{up: l.nc.IsConnected(), reconnects: l.nc.Stats().Reconnects, changed: make(chan struct{})}
	if l.nc.IsClosed() {
		s.up, s.closed = false, closedError(l.nc)
	}
	if err := l.nc.LastError(); !s.up && err != nil {
		l.last.Store(&err)
	}
	return s
}

// refreshState looks at the connection itself, the news of which may be on their way.
func (l *connectionWatch) refreshState() *connectionState {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replaceStateLocked(l.readState())
	return l.current()
}

// replaceStateLocked is called with the lock held.
func (l *connectionWatch) replaceStateLocked(s *connectionState) {
	old := l.current()
	if old.closed != nil || old.up == s.up && old.reconnects == s.reconnects && s.closed == nil {
		return
	}
	l.state.Store(s)
	close(old.changed)
}

// close ends the watching, and makes everything that waits for the link give up.
func (l *connectionWatch) close() {
	l.stop()
	<-l.done
}

// sendError is why nothing can be sent in a state. It does not wait for the connection.
func (l *connectionWatch) sendError(s *connectionState) error {
	switch {
	case s.closed != nil:
		return s.closed
	case s.up:
		return nil
	}
	err := fmt.Errorf("%w from NATS, reconnecting", nats.ErrDisconnected)
	if last := l.last.Load(); last != nil {
		return fmt.Errorf("%w: %w", err, *last)
	}
	return err
}

func closedError(nc *nats.Conn) error {
	err := fmt.Errorf("%w: %w", bus.ErrClosed, nats.ErrConnectionClosed)
	if last := nc.LastError(); last != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return err
}
