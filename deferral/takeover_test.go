package deferral_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/group"
)

// crew are processes of a group that make summaries one at a time, and note if two do.
type crew struct {
	*world

	store   group.Store
	members []*crewMember

	guard  sync.Mutex
	active map[*process]int // summaries that are being made
}

type crewMember struct {
	*process

	worker  *worker
	made    atomic.Int32 // summaries
	stopped atomic.Int32 // summaries that were stopped for another process
	failed  atomic.Int32 // summaries after an attempt that counted
}

// newCrew starts members. stop is asked before each summary what becomes of its process.
func (w *world) newCrew(members int, c deferral.Config, stop func(m *crewMember) (fault func())) *crew {
	w.t.Helper()
	k := &crew{world: w, store: newGroupStore(w.t), active: make(map[*process]int)}
	for range members {
		m := &crewMember{process: &process{}}
		k.members = append(k.members, m)
		k.join(m, c, stop)
	}
	return k
}

func (k *crew) join(m *crewMember, c deferral.Config, stop func(m *crewMember) (fault func())) {
	k.t.Helper()
	s, err := group.Join(k.t.Context(), &processGroup{m.process, k.store}, "billing", &group.Options{Logger: discard()})
	must(k.t, err)
	o := k.workIn(m.process, workerOptions{options: &deferral.Options{Session: s}, sum: func(ctx context.Context, key string, es []bus.Event) error {
		if fault := stop(m); fault != nil {
			fault()
		}
		if consumer.AttemptFrom(ctx).Number > 1 {
			m.failed.Add(1)
		}
		if m.dead.Load() {
			<-ctx.Done()
		}
		if m.awaitThaw(); ctx.Err() != nil {
			if errors.Is(context.Cause(ctx), consumer.ErrLeaseLost) {
				m.stopped.Add(1)
			}
			return context.Cause(ctx)
		}
		k.begin(m)
		defer k.end(m)
		time.Sleep(5 * time.Second)
		if m.awaitThaw(); ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return k.sum(ctx, key, es)
	}})
	o.consumer.Drain = time.Second
	o.options.Subscription = &consumer.Options{Drain: time.Second, Concurrency: 1, Lease: 2 * time.Minute, AckWait: 2 * time.Minute}
	m.worker = k.work(c, o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx) // one that is dead does not leave
	}()
	k.t.Cleanup(func() {
		m.thaw()
		_ = m.worker.stop()
		cancel()
		<-ended
	})
}

// begin notes that a process makes a summary, which no other one may do then.
func (k *crew) begin(m *crewMember) {
	k.guard.Lock()
	defer k.guard.Unlock()
	for _, other := range k.members {
		if other != m && k.active[other.process] > 0 && !other.isStopped() {
			k.t.Error("two processes make summaries at once")
		}
	}
	k.active[m.process]++
	m.made.Add(1)
}

func (k *crew) end(m *crewMember) {
	k.guard.Lock()
	defer k.guard.Unlock()
	k.active[m.process]--
}

// isStopped reports whether a process is dead or frozen.
func (p *process) isStopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead.Load() || p.frozen != nil
}

// keyedOrders are n events of each of some keys.
func keyedOrders(keys, from, n int) (all []bus.Event) {
	for k := range keys {
		all = append(all, orders(fmt.Sprint("k", k), from, n)...)
	}
	return all
}

// A process whose lease is over, and whose claims are not, stops what it makes: no attempt is
// counted for that.
func TestASummaryThatIsStoppedForAnotherProcessIsNoAttempt(t *testing.T) {
	inBubble(t, func(w *world) {
		freezes := 0
		k := w.newCrew(2, perMinute(1), func(m *crewMember) func() {
			if freezes++; freezes > 4 {
				return nil
			}
			return func() {
				m.freeze()
				time.AfterFunc(45*time.Second, m.thaw)
			}
		})
		all := keyedOrders(1, 0, 8)
		w.publish(all...)
		time.Sleep(10 * time.Minute)
		w.wantOnce(t, all, 0)
		stopped := int32(0)
		for _, m := range k.members {
			if failed := m.failed.Load(); failed > 0 {
				t.Errorf("%d summaries were another attempt of their first event, want each to be the first", failed)
			}
			stopped += m.stopped.Load()
		}
		if stopped == 0 {
			t.Error("no summary was stopped")
		}
	})
}

// When the process that makes the summaries is killed, or frozen, in the middle of them, another
// one takes over once its lease and its claims are over, and makes each of them once. When a frozen
// one goes on, it makes none of those again, and none beside the other.
func TestSummariesAreTakenOverFromAStoppedProcess(t *testing.T) {
	for name, stop := range map[string]func(p *process){
		"killed": func(p *process) { p.dead.Store(true) },
		"frozen": (*process).freeze,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				var chosen atomic.Pointer[crewMember]
				k := w.newCrew(2, perMinute(1), func(m *crewMember) func() {
					return func() {
						if chosen.CompareAndSwap(nil, m) {
							stop(m.process)
						}
					}
				})
				all := keyedOrders(5, 0, 8)
				w.publish(all...)
				time.Sleep(31 * time.Second)
				victim := chosen.Load()
				if victim == nil || len(w.sums()) != 0 {
					t.Fatalf("after the interval: victim %v, summaries %v; want one that was stopped before it made any", victim, w.sums())
				}
				victim.made.Store(0)
				time.Sleep(3 * time.Minute)
				w.wantOnce(t, all, 0)
				victim.thaw()
				later := keyedOrders(5, 8, 8)
				w.publish(later...)
				time.Sleep(5 * time.Minute)
				w.wantOnce(t, append(all, later...), 0)
				for _, m := range k.members {
					if m != victim {
						wantNothingLeft(t, m.worker)
					}
				}
				if made := victim.made.Load(); made != 0 {
					t.Errorf("the %s process made %d summaries, while another one held the lease", name, made)
				}
			})
		})
	}
}
