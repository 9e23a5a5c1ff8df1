package grouptest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/group"
)

// ledger is what all processes did with partitions. It notes whatever two owners did at once. The
// zero value is empty.
type ledger struct {
	mu         sync.Mutex
	running    map[*ownership]bool
	epochs     map[int]uint64 // highest of each partition
	begun      int
	violations []string
}

// ownership is a Run of a partition.
type ownership struct {
	*group.Ownership

	process *process
	cause   error // of the end
}

// begin notes that a Run begins. None may, while another is certain to own the partition.
func (l *ledger) begin(o *ownership) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == nil {
		l.running, l.epochs = make(map[*ownership]bool), make(map[int]uint64)
	}
	l.begun++
	for other := range l.running {
		if left := time.Until(other.Until()); other.Partition() == o.Partition() && (left > 0 || other.process == o.process) {
			l.note("partition %d is owned by %s as epoch %d, and for %v more by %s as epoch %d",
				o.Partition(), o.process.id(), o.Epoch(), left, other.process.id(), other.Epoch())
		}
	}
	if last := l.epochs[o.Partition()]; o.Epoch() <= last {
		l.note("partition %d has epoch %d after %d", o.Partition(), o.Epoch(), last)
	}
	l.epochs[o.Partition()] = max(l.epochs[o.Partition()], o.Epoch())
	l.running[o] = true
}

// work notes that a process works on a partition that it takes itself to own.
func (l *ledger) work(o *ownership) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := l.epochs[o.Partition()]; last > o.Epoch() {
		l.note("%s works on partition %d as epoch %d after epoch %d began", o.process.id(), o.Partition(), o.Epoch(), last)
	}
}

func (l *ledger) end(o *ownership, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o.cause = cause
	delete(l.running, o)
}

// note notes a violation. The mutex is held.
func (l *ledger) note(format string, args ...any) {
	l.violations = append(l.violations, fmt.Sprintf(format, args...))
}

func (l *ledger) broken() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.violations
}

// starts returns how many Runs have begun.
func (l *ledger) starts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun
}

// ownedBy returns the epochs of the partitions that a process works on.
func (l *ledger) ownedBy(p *process) map[int]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	owned := map[int]uint64{}
	for o := range l.running {
		if o.process == p && !o.Until().IsZero() {
			owned[o.Partition()] = o.Epoch()
		}
	}
	return owned
}

// assign lets a process take part in the partitions of the topic.
func (k *kit) assign(t *testing.T, p *process, partitions int) *group.Assignment {
	t.Helper()
	return k.assignRun(t, p, partitions, func(ctx context.Context, o *ownership) {
		for ctx.Err() == nil && o.Certain() {
			k.ledger.work(o)
			time.Sleep(10 * time.Millisecond)
		}
		<-ctx.Done()
	})
}

func (k *kit) assignRun(t *testing.T, p *process, partitions int, run func(context.Context, *ownership)) *group.Assignment {
	t.Helper()
	a, err := p.session.Assign(topic, partitions, &group.AssignmentOptions{
		MayHaveOwners: k.mayHaveOwners, Logger: slog.New(slog.DiscardHandler),
		Run: func(ctx context.Context, owned *group.Ownership) {
			o := &ownership{Ownership: owned, process: p}
			k.ledger.begin(o)
			defer func() { k.ledger.end(o, context.Cause(ctx)) }()
			run(ctx, o)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// shared waits until processes own all partitions, evenly, and nothing is to move. It returns who
// owns what.
func (k *kit) shared(t *testing.T, partitions int, by ...*process) []map[int]uint64 {
	t.Helper()
	var shares []map[int]uint64
	eventually(t, fmt.Sprintf("%d processes share %d partitions", len(by), partitions), func() bool {
		shares = nil
		owned := map[int]bool{}
		for _, p := range by {
			share := k.ledger.ownedBy(p)
			shares = append(shares, share)
			for partition := range share {
				owned[partition] = true
			}
			if n := len(share); n < partitions/len(by) || n > (partitions+len(by)-1)/len(by) {
				return false
			}
		}
		return len(owned) == partitions && k.isQuiet(t)
	})
	return shares
}

// isQuiet reports whether nothing is to move.
func (k *kit) isQuiet(t *testing.T) bool {
	t.Helper()
	plans, err := group.Plans(t.Context(), k.Store, name)
	return err == nil && len(plans) == 1 && !slices.ContainsFunc(plans[0].Partitions, func(p group.PartitionOwner) bool {
		return p.Next != "" || p.Owner == ""
	})
}

// kept wants a process to own what it owned before, without a break.
func kept(t *testing.T, what string, before, after map[int]uint64) {
	t.Helper()
	if !maps.Equal(before, after) {
		t.Errorf("%s: owned %v before and %v after", what, before, after)
	}
}
