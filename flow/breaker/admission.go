package breaker

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/onceish/onceish/flow"
)

// admission lets runs in while there is room under a limit that changes, first come, first served.
type admission struct {
	mu         sync.Mutex
	capacity   flow.Capacity
	changed    chan struct{} // closed when capacity changes
	generation int           // of the runs that are admitted now
	inside     *int          // what counts against the limit; replaced when those inside no longer do
	waiting    list.List     // of *run
	onAdmit    func()        // called with mu held; nil for nothing
}

// run is what was admitted, or waits for it.
type run struct {
	key        string
	admitted   chan struct{} // closed as it is admitted; nil if it never waited
	began      time.Time
	generation int
	beside     int  // how many were inside when it began, itself included
	inside     *int // where it counts
	left       bool
}

func newAdmission(limit int, reason string) admission {
	return admission{
		capacity: flow.Capacity{Limit: limit, Reason: reason},
		changed:  make(chan struct{}),
		inside:   new(int),
	}
}

// enter blocks until r is admitted or ctx ends.
func (a *admission) enter(ctx context.Context, r *run) error {
	a.mu.Lock()
	if a.hasRoom() { // then nobody waits
		a.admit(r)
		a.mu.Unlock()
		return nil
	}
	r.admitted = make(chan struct{})
	position := a.waiting.PushBack(r)
	a.mu.Unlock()

	select {
	case <-r.admitted:
		return nil
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-r.admitted: // in the meantime
		return nil
	default:
		a.waiting.Remove(position)
		return context.Cause(ctx)
	}
}

// currentCapacity implements flow.AdaptiveGate's Capacity.
func (a *admission) currentCapacity() (c flow.Capacity, changed <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.capacity, a.changed
}

// The methods below are called with mu held.

func (a *admission) hasRoom() bool {
	return a.capacity.Limit < 0 || *a.inside < a.capacity.Limit
}

func (a *admission) admit(r *run) {
	*a.inside++
	r.began, r.generation, r.beside, r.inside = time.Now(), a.generation, *a.inside, a.inside
	if a.onAdmit != nil {
		a.onAdmit()
	}
}

func (a *admission) admitWaiting() {
	for a.waiting.Len() > 0 && a.hasRoom() {
		r, ok := a.waiting.Remove(a.waiting.Front()).(*run)
		if ok {
			a.admit(r)
			close(r.admitted)
		}
	}
}

// release takes r out. It reports false if it was out already.
func (a *admission) release(r *run) bool {
	if r.left {
		return false
	}
	r.left = true
	*r.inside--
	return true
}

// setCapacity admits those for whom there is room now.
func (a *admission) setCapacity(c flow.Capacity) {
	if c != a.capacity {
		a.capacity = c
		close(a.changed)
		a.changed = make(chan struct{})
	}
	a.admitWaiting()
}
