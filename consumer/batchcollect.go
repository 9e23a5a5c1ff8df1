package consumer

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// BatchEnd says what ended the collecting of a batch.
type BatchEnd string

// What ends a batch.
const (
	// BatchEndSize: it has BatchOptions.Size events.
	BatchEndSize BatchEnd = "size"
	// BatchEndWait: BatchOptions.Wait is over.
	BatchEndWait BatchEnd = "wait"
	// BatchEndBytes: the next event does not fit into BatchOptions.Bytes.
	BatchEndBytes BatchEnd = "bytes"
	// BatchEndPaused: the subscription was paused.
	BatchEndPaused BatchEnd = "paused"
	// BatchEndDraining: the subscription drains.
	BatchEndDraining BatchEnd = "draining"
	// BatchEndSlots: every slot that may be busy waits in it, or a gate was shut.
	BatchEndSlots BatchEnd = "slots"
	// BatchEndAlone: its event runs alone, because a batch failed with it as a whole.
	BatchEndAlone BatchEnd = "alone"
)

// batchItem is a run that waits for its batch.
type batchItem struct {
	ctx    context.Context //nolint:containedctx // of the run, which waits
	event  bus.Event
	result error // once the batch is done, like next
	next   nextRun
}

// nextRun is what a run does once its batch is done.
type nextRun uint8

const (
	runsNoMore nextRun = iota // it has a result
	runsItself                // there is no other event in its batch
	runsAgain                 // its batch failed as a whole
)

// eventBatch is a batch, at first while it is collected. Its fields are guarded by the collector
// until it has ended.
type eventBatch struct {
	handler *batchHandler
	items   []*batchItem
	bytes   int
	since   time.Time
	timer   *time.Timer
	ended   chan struct{} // closed when it is not collected any more
	done    chan struct{} // closed when its items have their results
}

// batchCollector collects the batches of a subscription, or of one of its partitions. Its methods
// are safe for concurrent use. Its mutex may be taken while that of the engine is held, and not the
// other way round.
type batchCollector struct {
	engine *engine

	mu      sync.Mutex
	open    map[*batchHandler]*eventBatch
	waiting int                     // items of those
	alone   map[dedupe.Key]struct{} // events that run alone the next time
	order   []dedupe.Key            // of alone, the oldest first
}

// maxRunningAlone bounds the events that are remembered to run alone.
const maxRunningAlone = 10_000

func newBatchCollector(e *engine) *batchCollector {
	return &batchCollector{engine: e, open: make(map[*batchHandler]*eventBatch), alone: make(map[dedupe.Key]struct{})}
}

// runEvent handles an event in a batch with others.
func (c *batchCollector) runEvent(ctx context.Context, b *batchHandler, e bus.Event) error {
	if c.engine.transactor != nil { // of each event
		return b.runAlone(ctx, e)
	}
	if c.takeAlone(AttemptFrom(ctx).Key) {
		return c.runAlone(ctx, b, e)
	}
	item := &batchItem{ctx: ctx, event: e}
	batch := c.addItem(b, item)
	c.engine.endFullBatches()
	select {
	case <-batch.ended:
	case <-ctx.Done():
		if c.removeItem(batch, item) {
			return context.Cause(ctx)
		}
	}
	<-batch.done
	switch item.next {
	case runsNoMore:
	case runsItself:
		return b.runAlone(ctx, e)
	case runsAgain:
		return c.runAgain(ctx, b, e)
	}
	return item.result
}

// addItem adds an item to the batch that is collected, or begins another.
func (c *batchCollector) addItem(b *batchHandler, item *batchItem) *eventBatch {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := len(item.event.Data)
	if open := c.open[b]; open != nil && open.bytes+size > b.o.Bytes {
		c.endBatch(open, BatchEndBytes)
	}
	batch := c.open[b]
	if batch == nil {
		batch = &eventBatch{handler: b, since: time.Now(), ended: make(chan struct{}), done: make(chan struct{})}
		batch.timer = time.AfterFunc(b.o.Wait, func() { c.endIfOpen(batch, BatchEndWait) })
		c.open[b] = batch
	}
	batch.items = append(batch.items, item)
	batch.bytes += size
	c.waiting++
	switch {
	case len(batch.items) >= b.o.Size:
		c.endBatch(batch, BatchEndSize)
	case batch.bytes >= b.o.Bytes:
		c.endBatch(batch, BatchEndBytes)
	}
	return batch
}

// removeItem removes an item whose run is cancelled from its batch. It is false if that is not
// collected any more.
func (c *batchCollector) removeItem(batch *eventBatch, item *batchItem) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[batch.handler] != batch {
		return false
	}
	batch.items = slices.DeleteFunc(batch.items, func(i *batchItem) bool { return i == item })
	batch.bytes -= len(item.event.Data)
	c.waiting--
	if len(batch.items) == 0 {
		batch.timer.Stop()
		delete(c.open, batch.handler)
	}
	return true
}

func (c *batchCollector) endIfOpen(batch *eventBatch, why BatchEnd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[batch.handler] == batch {
		c.endBatch(batch, why)
	}
}

// endBatch has a batch handled. The mutex is held.
func (c *batchCollector) endBatch(batch *eventBatch, why BatchEnd) {
	batch.timer.Stop()
	delete(c.open, batch.handler)
	c.waiting -= len(batch.items)
	close(batch.ended)
	filled := time.Since(batch.since)
	go c.runBatch(batch, filled, why) // its items wait for it
}

// endAll ends what is collected, if all or at least that many runs wait in it.
func (c *batchCollector) endAll(runs int, why BatchEnd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting < runs {
		return
	}
	for _, batch := range c.open {
		c.endBatch(batch, why)
	}
}

func (c *batchCollector) isCollecting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting > 0
}

// rememberAlone has events run alone the next time. Of more than maxRunningAlone the oldest are
// forgotten.
func (c *batchCollector) rememberAlone(items []*batchItem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, item := range items {
		key := AttemptFrom(item.ctx).Key
		if _, known := c.alone[key]; known {
			continue
		}
		c.alone[key] = struct{}{}
		c.order = append(c.order, key)
		if len(c.order) > maxRunningAlone {
			delete(c.alone, c.order[0])
			c.order = c.order[1:]
		}
	}
}

// takeAlone reports whether an event is to run alone, and forgets it.
func (c *batchCollector) takeAlone(key dedupe.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.alone[key]; !ok {
		return false
	}
	delete(c.alone, key)
	c.order = slices.DeleteFunc(c.order, func(k dedupe.Key) bool { return k == key })
	return true
}

// endFullBatches ends what is collected if nothing can be added to it any more.
func (e *engine) endFullBatches() {
	if !e.batches.isCollecting() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endBatchesWithLock()
}

// endBatchesWithLock is endFullBatches with the lock held. It is called after each step.
func (e *engine) endBatchesWithLock() {
	switch {
	case !e.batches.isCollecting():
	case e.draining:
		e.batches.endAll(0, BatchEndDraining)
	case e.paused:
		e.batches.endAll(0, BatchEndPaused)
	case e.machine.Halted():
		e.batches.endAll(0, BatchEndSlots)
	case !e.machine.MayBeginMore() || e.slots.areAllBusy():
		e.batches.endAll(e.machine.Begun(), BatchEndSlots)
	}
}

// sortByStream sorts items by their places in the stream.
func (e *engine) sortByStream(items []*batchItem) {
	at := make(map[*batchItem]uint64, len(items))
	e.mu.Lock()
	for _, item := range items {
		at[item] = e.machine.SequenceOf(AttemptFrom(item.ctx).Key)
	}
	e.mu.Unlock()
	slices.SortStableFunc(items, func(a, b *batchItem) int { return cmp.Compare(at[a], at[b]) })
}
