package ndjson

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/backoff"
)

// linePublisher publishes the backlog. One call at a time, with one line of each key: lines of a
// key stay in order.
type linePublisher struct {
	bus     bus.Publisher
	o       *Options
	backlog *lineBacklog

	mu     sync.Mutex
	counts Published
	last   atomic.Int64 // the last line that was accepted
}

// acceptLine is false once nothing more is published.
func (p *linePublisher) acceptLine(e bus.Event, line int) bool {
	if !p.backlog.putEvent(e, line) {
		return false
	}
	p.last.Store(int64(line))
	return true
}

func (p *linePublisher) refuseLine(line int, err error) {
	p.mu.Lock()
	p.counts.Refused++
	p.mu.Unlock()
	p.o.Refused(line, err)
}

// finishTimeout is how long events that were read may take once ctx has ended.
const finishTimeout = 5 * time.Second

func (p *linePublisher) runUntilEmpty(ctx context.Context) error {
	sending, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var stopping sync.WaitGroup
	defer stopping.Wait()
	defer cancel(nil)
	stopping.Go(func() {
		select {
		case <-ctx.Done():
		case <-sending.Done():
			return
		}
		select {
		case <-time.After(finishTimeout):
		case <-p.o.ForceStop:
		case <-sending.Done():
		}
		cancel(context.Cause(ctx))
	})
	for {
		next := p.backlog.takeAll()
		if len(next.events) == 0 {
			return nil
		}
		if err := p.publishBatch(sending, next); err != nil {
			p.backlog.closePut()
			return err
		}
	}
}

// firstRetryPause is the first pause between two attempts; it doubles.
const firstRetryPause = 50 * time.Millisecond

// publishBatch tries until all are stored or refused, for as long as something gets stored.
func (p *linePublisher) publishBatch(ctx context.Context, b lineBatch) error {
	queues := newKeyQueues(b, p.o.Order)
	progress := time.Now()
	for pause := firstRetryPause; len(queues.waiting) > 0; {
		settled, err := p.publishOnce(ctx, queues.headLines())
		if queues.removeSettled(settled) {
			progress, pause = time.Now(), firstRetryPause
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil || errors.Is(err, bus.ErrClosed) || time.Since(progress) >= p.o.Patience {
			n, first, last := queues.leftLines()
			return fmt.Errorf("%w: %d from line %d to %d are not known to be stored, and no line behind %d was published: %w",
				ErrNotStored, n, first, last, b.lines[len(b.lines)-1], err)
		}
		if backoff.Sleep(ctx, pause) == nil {
			pause = min(2*pause, 2*time.Second)
		}
	}
	return nil
}

// publishOnce publishes lines at once. It reports which of them are settled, stored or refused for
// good, and the first reason why another one is not.
func (p *linePublisher) publishOnce(ctx context.Context, b lineBatch) (settled []bool, first error) {
	receipts, err := p.bus.Publish(ctx, b.events...)
	bus.RestoreDuplicates(ctx, p.bus, b.events, receipts)
	if len(receipts) != len(b.events) {
		return nil, errors.Join(err, errors.New("the bus did not answer for every event"))
	}
	settled = make([]bool, len(receipts))
	var stored Published
	for i, r := range receipts {
		settled[i] = true
		switch {
		case r.Err == nil:
			stored.Stored++
			if r.Duplicate {
				stored.Duplicates++
			}
		case errors.Is(r.Err, bus.ErrTooLarge), errors.Is(r.Err, bus.ErrInvalidEvent):
			p.refuseLine(b.lines[i], r.Err)
		default:
			settled[i] = false
			first = cmp.Or(first, r.Err)
		}
	}
	p.addStored(stored)
	return settled, first
}

func (p *linePublisher) addStored(n Published) {
	p.mu.Lock()
	p.counts.Stored += n.Stored
	p.counts.Duplicates += n.Duplicates
	p.mu.Unlock()
	p.o.Progress(p.publishedCount())
}

func (p *linePublisher) publishedCount() Published {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

func (p *linePublisher) finishPublish(ctx context.Context, err error) (Published, error) {
	c := p.publishedCount()
	if c.Refused > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d cannot be", ErrNotStored, c.Refused))
	}
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: interrupted (%w): what was read is stored, and nothing was read after line %d", ErrNotStored, context.Cause(ctx), p.last.Load())
	}
	return c, err
}
