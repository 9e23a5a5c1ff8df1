package consumer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/group"
)

// partitions runs an engine for each partition that this process owns. With the order Exclusive the
// topic is the only one.
type partitions struct {
	*common
	assignment *group.Assignment
	joined     *joinedClaimer
	hooks      hooks
	layout     *layoutWatch

	mu        sync.Mutex
	failures  map[int]partitionFailure
	drainErrs error // of the engines that ended because the subscription did
}

// partitionFailure is why a partition was given back.
type partitionFailure struct {
	err error
	at  time.Time
}

// preparePartitions takes part in the assignment of the topic's partitions, and returns what runs
// until stopped ends.
func (s *Subscription) preparePartitions(stopped context.Context) (run func() error, err error) {
	p := &partitions{
		common: s.common, failures: make(map[int]partitionFailure),
		hooks:  hooks{options: s.options, stopped: s.stopped, hanging: make(map[int]<-chan struct{})},
		joined: newJoinedClaimer(s.claimer, s.options.Lease, s.options.TTL),
	}
	p.claimer, p.observers.takeTurns = p.joined, true
	info, err := p.checkStream(stopped, p.subject(0))
	if err != nil {
		return nil, err
	}
	if p.layout, err = p.newLayoutWatch(stopped); err != nil {
		return nil, err
	}
	if p.options.From.Latest {
		if err := p.pinStarts(stopped); err != nil {
			return nil, err
		}
	}
	p.assignment, err = p.options.Session.Assign(p.subscribed, p.options.Order.partitions, &group.AssignmentOptions{
		Run: p.runPartition, MayHaveOwners: info.Known, Logger: p.options.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.partitions = p
	return func() error { return p.runUntil(stopped) }, nil
}

// subject is what the cursor of a partition is on.
func (p *partitions) subject(number int) string {
	if p.options.Order.kind == exclusive {
		return p.subscribed
	}
	return bus.Partition{Topic: p.subscribed, Of: p.options.Order.partitions, Number: number}.Name()
}

// pinStarts makes the cursors of a group that is new and starts at the latest event: a partition
// that gets its first owner later must not start later.
func (p *partitions) pinStarts(ctx context.Context) error {
	for number := range p.options.Order.partitions {
		topic := p.subject(number)
		info, err := p.bus.Topic(ctx, topic, p.group, p.options.From)
		if err != nil {
			return err
		}
		if info.Known {
			continue
		}
		c := p.newCursor(topic)
		if _, err := c.Open(ctx); err != nil {
			return err
		}
		if err := c.Source().Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// runUntil works on partitions until stopped ends, or the session leaves its group.
func (p *partitions) runUntil(stopped context.Context) error {
	watching, endWatch := context.WithCancel(context.WithoutCancel(stopped))
	var watch sync.WaitGroup
	watch.Go(func() { p.watchLayout(watching) })
	var left error
	select {
	case <-stopped.Done():
	case <-p.assignment.Done():
		left = fmt.Errorf("the session ended before its subscription to %q: %w", p.subscribed, group.ErrLeft)
	}
	err := p.drain()
	endWatch()
	watch.Wait()
	p.joined.wait()
	return errors.Join(left, err)
}

// drain hands every partition over. All of them have one deadline.
func (p *partitions) drain() error {
	limit := p.options.Drain + drainMargin + p.hookTime()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := p.assignment.Drain(ctx)
	freed := time.NewTimer(min(p.options.Drain, drainMargin))
	defer freed.Stop()
	select {
	case <-p.assignment.Done():
	case <-freed.C:
		p.options.Logger.Warn("the group could not be told that the partitions are free; they are planned for others once this process has left it",
			"topic", p.subscribed, "group", p.group)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(err, p.drainErrs)
}

// hookTime is how long a hook may take at the end.
func (p *partitions) hookTime() time.Duration {
	if p.options.Assigned == nil && p.options.Revoked == nil && p.options.Lost == nil {
		return 0
	}
	return min(p.options.HookLimit, p.options.Drain) + 2*hookGrace
}

// runPartition works on a partition for as long as this process owns it.
func (p *partitions) runPartition(ctx context.Context, o *group.Ownership) {
	part := Partition{Topic: p.subscribed, Of: p.options.Order.partitions, Number: o.Partition(), Epoch: o.Epoch()}
	err := p.workOn(ctx, part, o)
	p.recordFailure(part.Number, err)
	if err != nil {
		p.options.Logger.Error("partition given back; it will be tried again later, here or by another process",
			"topic", part.Topic, "group", p.group, "partition", part.Number, "error", err)
	}
}

// workOn runs the engine of a partition until ctx ends. It returns why it could not begin.
func (p *partitions) workOn(ctx context.Context, part Partition, o *group.Ownership) error {
	if err := p.hooks.checkReturned(part.Number); err != nil {
		return err
	}
	e, err := p.openEngine(ctx, part, o)
	if err != nil {
		return ignoreAfter(ctx, err)
	}
	if err := p.hooks.call(ctx, "Assigned", p.options.Assigned, part); err != nil {
		e.closeSource()
		return ignoreAfter(ctx, err)
	}
	p.recordFailure(part.Number, nil)
	p.options.Logger.Info("partition assigned", "topic", part.Topic, "group", p.group, "partition", part.Number, "epoch", part.Epoch)
	p.engines.add(e)
	e.start(ctx)
	err = e.runToEnd()
	p.engines.remove(e)
	p.recordEnd(part, e, err)
	p.callEndHook(part, e.lost.Load())
	return nil
}

// ignoreAfter returns nil for what failed because ctx has ended: the partition is another process's
// now, or will be.
func ignoreAfter(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// openEngine returns an engine that begins at the lowest unsettled event of the partition.
func (p *partitions) openEngine(ctx context.Context, part Partition, o *group.Ownership) (*engine, error) {
	topic := p.subject(part.Number)
	info, err := p.checkStream(ctx, topic)
	if err != nil {
		return nil, err
	}
	e := p.newEngine(context.WithValue(p.values, partitionKey{}, part), topic)
	e.ownedUntil = func() time.Time {
		if !o.Certain() { // it also notices that the machine was suspended
			return time.Time{}
		}
		return o.Until()
	}
	config := p.cursorConfig(topic)
	config.Rewind = true
	if err := e.openCursor(ctx, config, &info); err != nil {
		return nil, err
	}
	return e, nil
}

// recordEnd logs how the work on a partition has ended.
func (p *partitions) recordEnd(part Partition, e *engine, err error) {
	log := p.options.Logger.With("topic", part.Topic, "group", p.group, "partition", part.Number, "epoch", part.Epoch)
	if e.lost.Load() {
		log.Warn("partition lost: another process may own it; what runs is cancelled, and fenced by its claim")
	} else {
		log.Info("partition handed over")
	}
	if err == nil {
		return
	}
	if p.isStopped() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.drainErrs = errors.Join(p.drainErrs, err)
		return
	}
	log.Warn("partition left with events in flight; they wait for the end of their leases", "error", err)
}

// callEndHook calls Revoked, or Lost.
func (p *partitions) callEndHook(part Partition, lost bool) {
	name, f := "Revoked", p.options.Revoked
	if lost {
		name, f = "Lost", p.options.Lost
	}
	if err := p.hooks.call(p.values, name, f, part); err != nil {
		p.options.Logger.Error("hook of a partition failed", "hook", name, "topic", part.Topic, "group", p.group, "partition", part.Number, "error", err)
	}
}

// recordFailure notes why a partition could not be worked on; nil: it can.
func (p *partitions) recordFailure(partition int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		delete(p.failures, partition)
		return
	}
	p.failures[partition] = partitionFailure{err: err, at: time.Now()}
}

// failureMatters is for how long the failure of a partition is told, beyond the time for a hook: it
// would have been tried again here by then, were it not another process's.
const failureMatters = 2 * time.Minute

// healthError is everything that is known to be wrong with the partitions. What is wrong with
// several is said once.
func (p *partitions) healthError(isPaused bool) error {
	var faults faultsByText
	for _, e := range p.engines.list() {
		faults.add(e.partitionNumber(), e.healthError(isPaused))
	}
	p.mu.Lock()
	for _, number := range slices.Sorted(maps.Keys(p.failures)) {
		if f := p.failures[number]; time.Since(f.at) < failureMatters+p.options.HookLimit {
			faults.add(number, f.err)
		}
	}
	p.mu.Unlock()
	return errors.Join(faults.join(), p.sessionError(), p.layout.found())
}

func (p *partitions) sessionError() error {
	if err := p.assignment.Err(); err != nil {
		return fmt.Errorf("the partitions of %q cannot be planned: %w", p.subscribed, err)
	}
	return nil
}

// faultsByText are what is wrong with partitions, in the order in which it was found.
type faultsByText struct {
	texts      []string
	errs       map[string]error
	partitions map[string][]int
}

func (f *faultsByText) add(partition int, err error) {
	if err == nil {
		return
	}
	text := err.Error()
	if f.errs == nil {
		f.errs, f.partitions = make(map[string]error), make(map[string][]int)
	}
	if f.errs[text] == nil {
		f.texts = append(f.texts, text)
		f.errs[text] = err
	}
	f.partitions[text] = append(f.partitions[text], partition)
}

func (f *faultsByText) join() error {
	var all error
	for _, text := range f.texts {
		numbers := f.partitions[text]
		slices.Sort(numbers)
		all = errors.Join(all, fmt.Errorf("partitions %v: %w", numbers, f.errs[text]))
	}
	return all
}
