package group

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// AssignmentOptions are options of Session.Assign.
type AssignmentOptions struct {
	// Run works on a partition. It is called in a goroutine of its own once this process owns the
	// partition alone. Its ctx ends with cause ErrRevoked when the partition is to be handed over:
	// Run finishes in order and returns, and only then another process may own it. It ends with
	// cause ErrPartitionLost when another process may own the partition already: Run starts nothing
	// more, and returns without waiting for what it has started. If Run returns by itself, or
	// panics, the partition is freed and planned again after a pause of 1 s, doubled each time, up
	// to 1 min. It is not called concurrently for one partition. Required.
	Run func(ctx context.Context, o *Ownership)
	// MayHaveOwners: the group is known on the topic. It matters only if the plan is missing in a
	// store that is younger than its TTL: it was deleted, with the plan. Then partitions are given
	// out when the store is that old, by which time their owners have written themselves in again,
	// or have stopped.
	MayHaveOwners bool
	// Logger is told of partitions that are owned and lost, and of Runs that end by themselves.
	// Nil: that of the session.
	Logger *slog.Logger
}

// Assignment is this process's share of the partitions of a topic. Its methods are safe for
// concurrent use.
type Assignment struct {
	session    *Session
	topic      string
	partitions int
	options    AssignmentOptions
	log        *slog.Logger
	// verified is when a reading of the plan began that confirmed what is owned.
	verified atomic.Pointer[time.Time]
	runs     sync.WaitGroup

	mu       sync.Mutex
	owned    map[int]*Ownership // until it is freed in the plan, or its Run has returned and it was lost
	draining bool
	closed   bool
	err      error
	idle     chan struct{} // closed and replaced when a Run has returned
	done     chan struct{}

	// What follows is for the driver alone.

	known  bool // there was a plan
	warned bool // of another member of this name
	// dueRevision is that of the last plan in which something was due, and dueSince since when.
	dueRevision uint64
	dueSince    time.Time
}

// Assign makes this process take part in the assignment of a topic's partitions, 1 to
// MaxPartitions. Run does the work: Assign may be called before it, and while it runs. One
// partition makes the topic exclusive. Partitions are spread evenly over the members that are
// assigned to the topic; as few as possible move when members come and go. Assign does not block.
// It returns ErrInvalid for a topic that is assigned already, and ErrLeft after the session has
// left its group.
//
// Members that work on another number of partitions are waited for: they leave first.
func (s *Session) Assign(topic string, partitions int, o *AssignmentOptions) (*Assignment, error) {
	if err := validateText("topic", topic, 1, maxTopic); err != nil {
		return nil, err
	}
	if partitions < 1 || partitions > MaxPartitions {
		return nil, fmt.Errorf("%w: partitions is %d: must be 1 to %d", ErrInvalid, partitions, MaxPartitions)
	}
	if o == nil || o.Run == nil {
		return nil, fmt.Errorf("%w: AssignmentOptions.Run is nil: must be set", ErrInvalid)
	}
	a := &Assignment{
		session: s, topic: topic, partitions: partitions, options: *o, owned: make(map[int]*Ownership),
		log:  cmp.Or(o.Logger, s.options.Logger).With("group", s.group, "topic", topic),
		idle: make(chan struct{}), done: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left || s.ending {
		return nil, fmt.Errorf("topic %q: %w", topic, ErrLeft)
	}
	if s.assignments[topic] != nil {
		return nil, fmt.Errorf("%w: topic %q is assigned already: drain that first", ErrInvalid, topic)
	}
	s.assignments[topic] = a
	s.requestPlan()
	return a, nil
}

// HasPlan reports whether the store has a plan for the partitions of a topic. Plans stay when
// nobody works on them any more. It blocks for one reading of the store, does not retry, and is
// safe for concurrent use.
func (s *Session) HasPlan(ctx context.Context, topic string) (bool, error) {
	l, err := s.list(ctx, PlanRows)
	if err != nil {
		return false, fmt.Errorf("plan of topic %q: %w", topic, err)
	}
	return slices.ContainsFunc(l.Rows, func(r Row) bool { return r.Key == topic }), nil
}

// Done is closed when the assignment has ended: it was drained and its partitions are freed, or the
// session has left its group. No Run is running then.
func (a *Assignment) Done() <-chan struct{} { return a.done }

// Owned returns the partitions that this process owns, in order, those that are being handed over
// included.
func (a *Assignment) Owned() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	owned := make([]int, 0, len(a.owned))
	for p, o := range a.owned {
		if !o.lost.Load() && !o.returned {
			owned = append(owned, p)
		}
	}
	slices.Sort(owned)
	return owned
}

// Err returns why the plan could not be read or changed last. It is ErrOtherLayout while members
// work on another number of partitions. Nil: it could.
func (a *Assignment) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// Drain hands over all that this process owns, and takes no more. Partitions are planned for others
// at once; those of a member with a name wait 10 s for its successor. Drain blocks until every Run
// has returned, or ctx ends, and then returns its cause. A repeated call waits as well.
func (a *Assignment) Drain(ctx context.Context) error {
	a.mu.Lock()
	a.draining = true
	a.mu.Unlock()
	a.revokeAll()
	a.session.requestPlan()
	return a.awaitRuns(ctx)
}

func (a *Assignment) awaitRuns(ctx context.Context) error {
	for {
		a.mu.Lock()
		idle, running := a.idle, a.countRunning()
		a.mu.Unlock()
		if running == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// countRunning counts the Runs that have not returned. The mutex is held.
func (a *Assignment) countRunning() (n int) {
	for _, o := range a.owned {
		if !o.returned {
			n++
		}
	}
	return n
}

func (a *Assignment) ownerships() []*Ownership {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.owned))
}

func (a *Assignment) revokeAll() {
	for _, o := range a.ownerships() {
		a.revoke(o)
	}
}

// revoke ends a Run in order.
func (a *Assignment) revoke(o *Ownership) {
	a.mu.Lock()
	first := !o.revoked && !o.returned
	o.revoked = true
	a.mu.Unlock()
	if first {
		o.cancel(ErrRevoked)
	}
}

// lose ends a Run whose partition another process may own.
func (a *Assignment) lose(o *Ownership, why string) {
	if o.lost.Swap(true) {
		return
	}
	o.cancel(ErrPartitionLost)
	a.log.Warn("partition was lost", "partition", o.partition, "epoch", o.epoch, "reason", why)
}

// loseUncertain ends the Runs of partitions that another process may own by now.
func (a *Assignment) loseUncertain(now time.Time) {
	for _, o := range a.ownerships() {
		if !o.isCertain(now) {
			a.lose(o, "it was not renewed in time")
		}
	}
}

// start begins to work on a partition that was taken under a membership, unless the assignment is
// drained: the driver then frees what was taken.
func (a *Assignment) start(ctx context.Context, partition int, epoch uint64, m membership) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	o := &Ownership{
		assignment: a, partition: partition, epoch: epoch, generation: m.generation, began: time.Now(), cancel: cancel,
	}
	a.mu.Lock()
	draining := a.draining
	if !draining {
		a.owned[partition] = o
	}
	a.mu.Unlock()
	if draining {
		cancel(ErrRevoked)
		return
	}
	a.log.Debug("partition is owned", "partition", partition, "epoch", epoch)
	a.runs.Go(func() { a.run(ctx, o) })
}

func (a *Assignment) run(ctx context.Context, o *Ownership) {
	defer func() {
		if panicked := recover(); panicked != nil {
			a.log.Error("run of a partition panicked; the partition is freed, and planned again after a pause",
				"partition", o.partition, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		}
		a.mu.Lock()
		o.returned = true
		close(a.idle)
		a.idle = make(chan struct{})
		byItself := !o.revoked && !o.lost.Load()
		a.mu.Unlock()
		if byItself {
			a.log.Warn("run of a partition ended by itself; the partition is freed, and planned again after a pause", "partition", o.partition)
		}
		o.cancel(nil)
		a.session.requestPlan()
	}()
	a.options.Run(ctx, o)
}
