package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/commandline"
)

// pausedByGroup is who pauses subscriptions and drainers while their group is paused.
const pausedByGroup = "group"

// membership is the worker's place in its group. It pauses what runs here while the group is
// paused, and describes it to whoever asks what the group's processes do.
type membership struct {
	log     *slog.Logger
	session *group.Session
	store   group.Store
	group   string
	ready   chan struct{} // closed once pauses are applied to all that runs
	changed chan struct{} // has room for one: what the server says of pauses may have changed

	members atomic.Int64 // of the group that were alive when they were last counted

	mu       sync.Mutex
	paused   []group.Paused
	subs     []*memberSubscription
	drainers []*drainerRun
	breakers map[string]*groupBreaker // by topic
}

var _ flow.Gate = (*membership)(nil)

// joinGroup makes the worker a member of its group. Nothing starts before start is called.
func (w *Worker) joinGroup(ctx context.Context) (*membership, error) {
	store, err := w.conns.GroupStore(ctx)
	if err != nil {
		return nil, err
	}
	m := &membership{log: w.o.Logger, store: store, group: w.group, ready: make(chan struct{}), changed: make(chan struct{}, 1), breakers: w.breakers}
	m.members.Store(1)
	m.session, err = group.Join(ctx, store, w.group, &group.Options{
		Name: w.o.Name, Version: commandline.Version(), Describe: m.describe, Apply: m.applyPauses, Logger: w.o.Logger,
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// leave ends a membership whose actor does not run.
func (m *membership) leave(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return m.session.Run(ctx)
}

// start applies the group's pauses to what runs, shows it in the member's row, and lets it begin.
// So whoever sees what a run has done also sees that this worker is subscribed.
func (m *membership) start(ctx context.Context, subs []runningSubscription, drainers []*drainerRun) {
	m.mu.Lock()
	for _, s := range subs {
		m.subs = append(m.subs, newMemberSubscription(s))
	}
	m.drainers = drainers
	m.pauseAll()
	m.mu.Unlock()
	if err := m.session.Refresh(ctx); err != nil && ctx.Err() == nil {
		m.log.Warn("the worker's subscriptions are not in its member's row yet; it is stored at the next heartbeat", "error", err)
	}
	close(m.ready)
}

// Enter implements flow.Gate. Every start passes it: before the group's pauses are applied here,
// and when this process was frozen and may have missed one, it waits.
func (m *membership) Enter(ctx context.Context) (leave func(error), err error) {
	select {
	case <-m.ready:
		return m.session.Enter(ctx)
	default:
	}
	select {
	case <-m.ready:
		return m.session.Enter(ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// applyPauses makes these the pauses of all that runs here. Once it has returned, nothing that is
// paused starts.
func (m *membership) applyPauses(paused []group.Paused) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused = paused
	m.pauseAll()
	for _, b := range m.breakers {
		b.follow(paused)
	}
}

// pauseAll is called with the lock held.
func (m *membership) pauseAll() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
	for _, s := range m.subs {
		s.forgetServerPause()
		if _, paused := group.PauseFor(m.paused, s.topic); paused {
			s.sub.PauseBy(pausedByGroup)
		} else {
			s.sub.ResumeBy(pausedByGroup)
		}
	}
	for _, d := range m.drainers {
		if _, paused := group.PauseFor(m.paused, group.Outbox); paused {
			d.PauseBy(pausedByGroup)
		} else {
			d.ResumeBy(pausedByGroup)
		}
	}
}

// actor is the session's. The worker is a member until its subscriptions have drained, or until the
// drain time-out: what has not ended by then starts nothing, and leaving takes time as well.
func (m *membership) actor(subs []runningSubscription, drain time.Duration) Actor {
	told := make(chan struct{})
	return Actor{
		Name: fmt.Sprintf("membership of group %q", m.group),
		Run: func() error {
			ctx, end := context.WithCancel(context.Background())
			var waiting sync.WaitGroup
			waiting.Go(func() {
				defer end()
				select {
				case <-told:
				case <-ctx.Done():
				}
				bounded, cancel := context.WithTimeout(ctx, drain)
				defer cancel()
				waitForDrain(bounded, told, subs)
			})
			m.run(ctx)
			end()
			waiting.Wait()
			return nil
		},
		Stop: func(error) {
			m.session.Drain()
			close(told)
		},
	}
}

func (m *membership) run(ctx context.Context) {
	var polling sync.WaitGroup
	polling.Go(func() { m.pollGroup(ctx) })
	defer polling.Wait()
	if err := m.session.Run(ctx); err != nil {
		m.log.Warn("the worker could not leave its group; it is listed until its row expires", "error", err)
	}
}

// pollGroup asks, once in a heartbeat and when pauses have changed, what cannot be asked while the
// member's row is written: lags, how many rows outboxes have, and how many members there are.
func (m *membership) pollGroup(ctx context.Context) {
	every := m.store.TTL() / 3
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		m.pollOnce(ctx, every)
		select {
		case <-ticker.C:
		case <-m.changed:
		case <-ctx.Done():
			return
		}
	}
}

// pollOnce asks for all of it at once: a server that does not answer hides nothing that another one
// knows.
func (m *membership) pollOnce(ctx context.Context, within time.Duration) {
	asking, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var polls sync.WaitGroup
	for _, s := range m.subscriptions() {
		polls.Go(func() { s.pollLag(asking) })
	}
	for _, d := range m.drainers {
		polls.Go(func() { d.pollBacklog(asking) })
	}
	polls.Go(func() {
		if members, err := group.Members(asking, m.store, m.group); err == nil { // else the last count holds
			m.members.Store(int64(max(1, len(members))))
		}
	})
	polls.Wait()
}

func (m *membership) subscriptions() []*memberSubscription {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.subs
}

// acquireLease takes a lease of the group; ok is false if another process has it.
func (m *membership) acquireLease(ctx context.Context, name string) (release func(), ok bool, err error) {
	lease, err := m.session.Acquire(ctx, name)
	switch {
	case errors.Is(err, group.ErrHeld):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		_ = lease.Release(ctx) // what is not released runs out
	}, true, nil
}

// describe is what the group's other processes, and its operators, are told of this one.
func (m *membership) describe() []group.Subscription {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]group.Subscription, 0, len(m.subs)+len(m.drainers))
	for _, s := range m.subs {
		out = append(out, s.describe(m.paused))
	}
	for _, d := range m.drainers {
		out = append(out, d.describe(m.paused))
	}
	return out
}
