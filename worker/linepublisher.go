package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
)

// linePublisher publishes the backlog. One call at a time: within it events are pipelined, and lines stay in order.
type linePublisher struct {
	bus      bus.Publisher
	o        *PublishOptions
	backlog  *backlog
	patience time.Duration

	mu     sync.Mutex
	counts Published
	last   int // the last line that was accepted
}

// accept is false once nothing more is published.
func (p *linePublisher) accept(n numbered) bool {
	if !p.backlog.put(n) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = n.line
	return true
}

func (p *linePublisher) refuse(line int, err error) {
	p.mu.Lock()
	p.counts.Refused++
	p.mu.Unlock()
	p.o.Refused(line, err)
}

// lastWords is how long events that were read may take once ctx has ended.
const lastWords = 5 * time.Second

func (p *linePublisher) run(ctx context.Context) error {
	sending, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var hurrying sync.WaitGroup
	defer hurrying.Wait()
	defer cancel(nil)
	hurrying.Go(func() {
		select {
		case <-ctx.Done():
		case <-sending.Done():
			return
		}
		select {
		case <-time.After(lastWords):
		case <-p.o.Hurry:
		case <-sending.Done():
		}
		cancel(context.Cause(ctx))
	})
	for {
		events := p.backlog.take()
		if len(events) == 0 {
			return nil
		}
		if err := p.publish(sending, events); err != nil {
			p.backlog.close()
			return err
		}
	}
}

// publish tries until all are stored or refused, for as long as something gets stored.
func (p *linePublisher) publish(ctx context.Context, events []numbered) error {
	progress := time.Now()
	pause := 50 * time.Millisecond
	for {
		left, err := p.attempt(ctx, events)
		if len(left) == 0 {
			return nil
		}
		if len(left) < len(events) {
			progress, pause = time.Now(), 50*time.Millisecond
		}
		events = left
		if ctx.Err() != nil || errors.Is(err, bus.ErrClosed) || time.Since(progress) >= p.patience {
			first, last := events[0].line, events[len(events)-1].line
			return fmt.Errorf("%w: %d from line %d to %d are not known to be stored, and no later line was published: %w",
				ErrNotStored, len(events), first, last, err)
		}
		if !sleep(ctx, pause) {
			continue
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// attempt returns what is to be tried again, and the first reason why.
func (p *linePublisher) attempt(ctx context.Context, events []numbered) (left []numbered, first error) {
	batch := make([]bus.Event, len(events))
	for i := range events {
		batch[i] = events[i].event
	}
	receipts, err := p.bus.Publish(ctx, batch...)
	if len(receipts) != len(events) {
		return events, errors.Join(err, errors.New("the bus did not answer for every event"))
	}
	for i, r := range receipts {
		switch {
		case r.Err == nil:
			p.stored(r)
		case errors.Is(r.Err, bus.ErrTooLarge), errors.Is(r.Err, bus.ErrInvalidEvent):
			p.refuse(events[i].line, r.Err)
		default:
			left = append(left, events[i])
			if first == nil {
				first = r.Err
			}
		}
	}
	p.o.Progress(p.count())
	return left, first
}

func (p *linePublisher) stored(r bus.Receipt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Stored++
	if r.Duplicate {
		p.counts.Duplicates++
	}
}

func (p *linePublisher) count() Published {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

func (p *linePublisher) finish(ctx context.Context, err error) (Published, error) {
	c := p.count()
	if c.Refused > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d cannot be", ErrNotStored, c.Refused))
	}
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: interrupted (%w): what was read is stored, and nothing was read after line %d", ErrNotStored, context.Cause(ctx), p.lastLine())
	}
	return c, err
}

func (p *linePublisher) lastLine() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
