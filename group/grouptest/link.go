package grouptest

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/onceish/onceish/group"
)

// mode is what a process is connected by.
type mode int

const (
	connected mode = iota
	cut            // calls fail
	frozen         // calls, and readings of the clock, block until another mode is set
)

// link is a process's way to its store, and its clock.
type link struct {
	store   group.Store
	latency time.Duration

	mu      sync.Mutex
	mode    mode
	changed chan struct{} // closed when the mode changes
}

var (
	_ group.Store     = (*link)(nil)
	_ group.Connector = (*link)(nil)
)

var errCut = errors.New("cut off")

func (l *link) set(m mode) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mode = m
	if l.changed != nil {
		close(l.changed)
	}
	l.changed = make(chan struct{})
}

func (l *link) current() (mode, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.mode, l.changed
}

// travel is the way to the store or back.
func (l *link) travel() error {
	time.Sleep(time.Duration(rand.Int64N(int64(l.latency) + 1)))
	return l.pass()
}

// pass blocks while frozen, and fails while cut off.
func (l *link) pass() error {
	for {
		switch m, changed := l.current(); m {
		case connected:
			return nil
		case cut:
			return errCut
		case frozen:
			<-changed
		}
	}
}

// now is the time when the process next runs.
func (l *link) now() time.Time {
	_ = l.pass() // who is cut off has a clock
	return time.Now()
}

func (l *link) Connected() bool {
	m, _ := l.current()
	return m != cut
}

func (l *link) TTL() time.Duration { return l.store.TTL() }

func (l *link) List(ctx context.Context, space group.Space, name string) (group.Listing, error) {
	if err := l.travel(); err != nil {
		return group.Listing{}, err
	}
	listing, err := l.store.List(ctx, space, name)
	return listing, cmp.Or(err, l.travel())
}

func (l *link) Put(ctx context.Context, space group.Space, name, key string, data []byte, expect uint64) (uint64, error) {
	if err := l.travel(); err != nil {
		return 0, err
	}
	revision, err := l.store.Put(ctx, space, name, key, data, expect)
	return revision, cmp.Or(err, l.travel())
}

func (l *link) Delete(ctx context.Context, space group.Space, name, key string) error {
	if err := l.travel(); err != nil {
		return err
	}
	return cmp.Or(l.store.Delete(ctx, space, name, key), l.travel())
}

// Watch ends when the process is cut off, and hands on nothing while it is frozen.
func (l *link) Watch(ctx context.Context, name string, changed func()) error {
	if err := l.pass(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	signals := make(chan struct{}, 1)
	ended := make(chan error, 1)
	all.Go(func() {
		ended <- l.store.Watch(ctx, name, func() {
			select {
			case signals <- struct{}{}:
			default:
			}
		})
	})
	defer cancel()
	for {
		_, switched := l.current()
		select {
		case err := <-ended:
			return err
		case <-signals:
			if err := l.pass(); err != nil {
				return err
			}
			changed()
		case <-switched:
			if err := l.pass(); err != nil {
				return err
			}
		}
	}
}
