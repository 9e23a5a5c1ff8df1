package group

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// Session is the place of a process in its group. Its methods are safe for concurrent use.
type Session struct {
	store   Store
	group   string
	options Options
	log     *slog.Logger
	started time.Time // by the store's clock
	// freezeLimit is how long the process may stand still without its row expiring: when it
	// froze, the row was renewed within two heartbeats.
	freezeLimit time.Duration

	id string
	// alive is when this process was last known to run; nil once it has left. See Enter.
	alive atomic.Pointer[time.Time]
	// listed is when the last renewal was sent that ended a refresh; excused, whether the last
	// refresh failed on a connection that was up. See Enter.
	listed  atomic.Pointer[time.Time]
	excused atomic.Bool
	refresh chan struct{} // asks Run for a refresh
	replan  chan struct{} // asks Run to look at the plans
	// renewal says that the next refresh stores the member's row in any case.
	renewal atomic.Bool
	// membership is how long the member's row has been there; see Ownership.
	membership atomic.Pointer[membership]

	// What follows is for Join, and then for the goroutine of Run alone.

	known   knownPauses
	inForce []Paused
	renewed time.Time // when the last renewal of the row was sent

	mu        sync.Mutex
	status    Status
	draining  bool
	ending    bool // no more is assigned
	left      bool
	leases    map[string]*Lease
	refreshed chan struct{} // closed and replaced by each successful refresh
	endWatch  func()

	assignments map[string]*Assignment // by topic
}

// Status is what a session knows of itself.
type Status struct {
	// ID is the member's.
	ID string
	// Reached is when the store was reached last, by the local clock.
	Reached time.Time
	// Err is why the store cannot be reached: the last known pauses hold. Nil: it is reached.
	Err error
	// Applied is up to where pauses are applied; Paused are those in force.
	Applied Applied
	Paused  []Paused
}

// Join makes this process a member of a group. It applies the group's pauses before it returns, so
// a process that starts while its group is paused starts paused. It blocks for a few readings of
// the store, and fails if the store does: the caller tries again. The caller then runs Run; without
// it the member is gone after the store's TTL, and Enter blocks.
func Join(ctx context.Context, store Store, group string, o *Options) (*Session, error) {
	if err := validateGroup(group); err != nil {
		return nil, err
	}
	options, err := o.withDefaults(store.TTL())
	if err != nil {
		return nil, err
	}
	s := &Session{
		store: store, group: group, options: options, log: options.Logger.With("group", group), id: rand.Text(),
		freezeLimit: store.TTL() - 2*options.Heartbeat,
		refresh:     make(chan struct{}, 1), replan: make(chan struct{}, 1), endWatch: func() {},
		leases: make(map[string]*Lease), refreshed: make(chan struct{}), assignments: make(map[string]*Assignment),
	}
	s.status.ID = s.id
	now := s.options.Now()
	s.alive.Store(&now)
	if err := s.refreshAll(ctx); err != nil {
		if !s.renewed.IsZero() {
			err = errors.Join(err, s.leave(ctx))
		}
		return nil, fmt.Errorf("joining group %q: %w", group, err)
	}
	return s, nil
}

// Refresh reads and applies the pauses, and stores the member's row with what Options.Describe
// returns now. It is for a process that has begun something between Join and Run, which does all of
// that by itself: it must not be called any more once Run has been, nor concurrently with itself.
// It blocks for a few readings of the store, and fails if the store does.
func (s *Session) Refresh(ctx context.Context) error {
	s.renewal.Store(true)
	if err := s.refreshAll(ctx); err != nil {
		return fmt.Errorf("refreshing member of group %q: %w", s.group, err)
	}
	return nil
}

// Run renews the member's row and its leases, and applies pauses as they are set, lifted and end.
// While the store cannot be reached the last known pauses hold, and those with an end end. It also
// takes, runs and hands over the partitions that are assigned to this process.
//
// When ctx ends, Run drains the assignments, for which it stays a member for the store's TTL at
// most; after that partitions are lost. When every AssignmentOptions.Run has returned it releases
// the leases, removes the row and returns the error of that; Enter then returns ErrLeft. It is
// called once.
func (s *Session) Run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var all sync.WaitGroup
	all.Go(func() { s.watchChanges(working) })
	all.Go(func() { s.keepTicking(working) })
	all.Go(func() { s.keepAssigning(working) })
	all.Go(func() {
		<-ctx.Done()
		s.drainAssignments(working)
		stop()
	})
	s.keepRefreshing(working)
	all.Wait()
	s.endAssignments()
	return s.leave(ctx)
}

// Drain shows the member as draining. It does not block, and pauses nothing.
func (s *Session) Drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.renewal.Store(true)
	s.requestRefresh()
}

// Group returns the name of the group that the session has joined. It does not block.
func (s *Session) Group() string { return s.group }

// Status returns the session's status. It does not block.
func (s *Session) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Paused = slices.Clone(status.Paused)
	return status
}

// Healthy returns nil while the store is reached; else since when it is not, and why. It
// does not block.
func (s *Session) Healthy() error {
	status := s.Status()
	if status.Err == nil {
		return nil
	}
	return fmt.Errorf("group %q: store not reached since %v; the last known pauses hold: %w",
		s.group, status.Reached.UTC().Format(time.RFC3339), status.Err)
}

// keepRefreshing refreshes at each heartbeat, when asked, and when a pause ends.
func (s *Session) keepRefreshing(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		beat := s.options.Heartbeat
		if failures > 0 {
			beat = backoff.Doubled(beat/8, failures-1, beat)
		}
		asked := backoff.Wait(ctx, s.refresh, s.known.nextEnd(s.options.Now(), beat))
		if ctx.Err() != nil {
			return
		}
		before := s.known.applied
		if err := s.refreshAll(ctx); err != nil {
			failures++
			continue
		}
		failures = 0
		if before.Incarnation != s.known.applied.Incarnation || !asked && before != s.known.applied {
			s.mu.Lock()
			s.endWatch() // it has missed something
			s.mu.Unlock()
		}
	}
}

// Bounds of the time between two watches.
const (
	minRewatch = time.Second
	maxRewatch = 30 * time.Second
)

// watchChanges asks for a refresh, and a look at the plans, whenever pauses or plans change. A
// watch that ends, or misses changes, is started again, later each time it does so soon.
func (s *Session) watchChanges(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; failures++ {
		began := time.Now()
		if err := s.watchOnce(ctx); failures == 0 && err != nil {
			s.log.Warn("watch of pauses and plans ended; it is started again, and they are read at each heartbeat", "err", err)
		}
		if time.Since(began) > maxRewatch {
			failures = 0
		}
		_ = backoff.Sleep(ctx, backoff.Doubled(minRewatch, failures, maxRewatch)) // the loop looks at ctx
	}
}

func (s *Session) watchOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.endWatch = cancel
	s.mu.Unlock()
	s.renewal.Store(true) // at its begin
	return s.store.Watch(ctx, s.group, func() {
		s.requestRefresh()
		s.requestPlan()
	})
}

// leaveWithin bounds leaving: rows that could not be removed in time expire.
const leaveWithin = time.Second

// leave ends what the session has in the store.
func (s *Session) leave(ctx context.Context) error {
	s.mu.Lock()
	s.left = true
	close(s.refreshed)
	s.refreshed = make(chan struct{})
	s.mu.Unlock()
	s.alive.Store(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(s.callTimeout(), leaveWithin))
	defer cancel()
	var failed error
	for _, l := range s.heldLeases() {
		failed = errors.Join(failed, l.Release(ctx))
	}
	if err := s.store.Delete(ctx, MemberRows, s.group, s.id); err != nil {
		failed = errors.Join(failed, fmt.Errorf("leaving group %q; the member is listed until its row expires: %w", s.group, err))
	}
	return failed
}

func (s *Session) requestRefresh() {
	select {
	case s.refresh <- struct{}{}:
	default:
	}
}

// requestPlan asks Run to look at the plans.
func (s *Session) requestPlan() {
	select {
	case s.replan <- struct{}{}:
	default:
	}
}

// list is that of the store, bounded in time.
func (s *Session) list(ctx context.Context, space Space) (Listing, error) {
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout())
	defer cancel()
	return s.store.List(ctx, space, s.group)
}

// put is that of the store, bounded in time.
func (s *Session) put(ctx context.Context, space Space, key string, data []byte, expect uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout())
	defer cancel()
	return s.store.Put(ctx, space, s.group, key, data, expect)
}
