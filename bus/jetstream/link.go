package jetstream

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

// link watches a connection that belongs to somebody else. Its state is replaced whenever the
// connection goes down, comes up, or did both unseen: who remembers a state can tell by comparing
// pointers that nothing happened since.
type link struct {
	nc    *nats.Conn
	state atomic.Pointer[linkState]
	mu    sync.Mutex // held to replace the state
	stop  chan struct{}
	once  sync.Once
	done  chan struct{}
}

type linkState struct {
	up         bool
	closed     error // why there will be no connection any more
	reconnects uint64
	changed    chan struct{} // closed when another state replaces this one
}

func newLink(nc *nats.Conn) *link {
	l := &link{nc: nc, stop: make(chan struct{}), done: make(chan struct{})}
	changes := nc.StatusChanged()
	l.state.Store(l.read())
	go l.watch(changes)
	return l
}

func (l *link) watch(changes chan nats.Status) {
	defer close(l.done)
	defer l.nc.RemoveStatusListener(changes)
	for l.now().closed == nil {
		select {
		case <-changes:
			l.refresh()
		case <-l.stop:
			l.mu.Lock()
			l.replace(&linkState{closed: fmt.Errorf("%w: Bus.Close was called", bus.ErrClosed), changed: make(chan struct{})})
			l.mu.Unlock()
		}
	}
}

func (l *link) now() *linkState { return l.state.Load() }

func (l *link) read() *linkState {
	s := &linkState{up: l.nc.IsConnected(), reconnects: l.nc.Stats().Reconnects, changed: make(chan struct{})}
	if l.nc.IsClosed() {
		s.up, s.closed = false, closedError(l.nc)
	}
	return s
}

// refresh looks at the connection itself, the news of which may be on their way.
func (l *link) refresh() *linkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replace(l.read())
	return l.now()
}

// replace is called with the lock held.
func (l *link) replace(s *linkState) {
	old := l.now()
	if old.closed != nil || old.up == s.up && old.reconnects == s.reconnects && s.closed == nil {
		return
	}
	l.state.Store(s)
	close(old.changed)
}

// close ends the watching, and makes everything that waits for the link give up.
func (l *link) close() {
	l.once.Do(func() { close(l.stop) })
	<-l.done
}

// err is why nothing can be sent in this state.
func (s *linkState) err(nc *nats.Conn) error {
	switch {
	case s.closed != nil:
		return s.closed
	case s.up:
		return nil
	case nc.LastError() != nil:
		return fmt.Errorf("%w from NATS, reconnecting: %w", nats.ErrDisconnected, nc.LastError())
	default:
		return fmt.Errorf("%w from NATS, reconnecting", nats.ErrDisconnected)
	}
}

func closedError(nc *nats.Conn) error {
	if last := nc.LastError(); last != nil {
		return fmt.Errorf("%w: %w: %w", bus.ErrClosed, nats.ErrConnectionClosed, last)
	}
	return fmt.Errorf("%w: %w", bus.ErrClosed, nats.ErrConnectionClosed)
}
