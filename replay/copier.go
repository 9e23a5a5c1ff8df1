package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/backoff"
)

// What is published at once is bounded by both.
const (
	batchEvents = 512
	batchBytes  = 8 << 20
)

// progressEvery is how many events are passed over before progress is reported.
const progressEvery = 4096

const (
	defaultPatience = 30 * time.Second
	// finishTimeout is for how long a batch may be confirmed once ctx has ended.
	finishTimeout = 5 * time.Second
	// firstRetryPause is the first pause between two attempts; it doubles up to longestRetryPause.
	firstRetryPause   = 50 * time.Millisecond
	longestRetryPause = 2 * time.Second
)

// copier reads events and publishes copies of them, batch by batch.
type copier struct {
	selector

	bus    bus.Bus
	reader bus.Reader
	o      *Options
	toCopy func(*bus.Stored) bus.Event
	check  func(context.Context) error // before the first copy is published

	pace     backoff.Pace
	size     int // of a batch, in events
	batch    copyBatch
	taken    int          // events that were selected
	notTaken int          // events that were not
	read     bus.Position // of the last event that was read
	replayed Replayed
}

func newCopier(b bus.Bus, topic string, r *bus.Range, o *Options) (*copier, error) {
	if err := o.validate(r); err != nil {
		return nil, fmt.Errorf("replay of %q: %w", topic, err)
	}
	reader, ok := b.(bus.Reader)
	if !ok {
		return nil, fmt.Errorf("replay of %q: a %T cannot be read again: %w", topic, b, errors.ErrUnsupported)
	}
	o.Patience = cmp.Or(o.Patience, defaultPatience)
	c := &copier{selector: newSelector(o.Filter, o.Failed), bus: b, reader: reader, o: o, size: batchEvents, pace: backoff.Pace{PerSecond: o.PerSecond}}
	if o.PerSecond > 0 {
		c.size = min(c.size, max(1, int(o.PerSecond/10)))
	}
	return c, nil
}

func (c *copier) copyAll(ctx context.Context, topic string, r bus.Range) (Replayed, error) {
	sending, cancel := finishing(ctx, c.o.ForceStop)
	defer cancel()
	for s, err := range c.reader.Read(ctx, topic, r) {
		if c.noteDropped(err) {
			continue
		}
		if err == nil {
			err = c.takeEvent(ctx, &s)
		}
		if err != nil {
			if ctx.Err() == nil {
				err = errors.Join(err, c.publishBatch(ctx, sending))
			}
			return c.result(topic, err)
		}
		full := c.taken == c.o.Limit && c.o.Limit > 0
		if !full && len(c.batch.copies) < c.size && c.batch.bytes < batchBytes {
			continue
		}
		if err := c.publishBatch(ctx, sending); err != nil || full {
			return c.result(topic, err)
		}
	}
	return c.result(topic, errors.Join(c.publishBatch(ctx, sending), c.incomplete))
}

// takeEvent adds an event to the batch if it is to be replayed.
func (c *copier) takeEvent(ctx context.Context, s *bus.Stored) error {
	if c.selects(s) {
		if c.taken == 0 {
			if err := c.check(ctx); err != nil {
				return err
			}
		}
		c.batch.add(c.toCopy(s), s.At, c.read)
		c.taken++
	} else if c.notTaken++; c.notTaken%progressEvery == 0 {
		c.reportProgress()
	}
	c.read = s.At
	return nil
}

func (c *copier) result(topic string, err error) (Replayed, error) {
	c.replayed.LeftOut, c.replayed.Dropped = c.leftOut, c.dropped
	c.replayed.Last = cmp.Or(c.batch.settledUpTo(c.read), c.replayed.Last)
	if err != nil {
		err = fmt.Errorf("replay of %q: %w", topic, err)
	}
	return c.replayed, err
}

// finishing returns a context for publishing, which outlasts ctx by a few seconds unless that is
// given up.
func finishing(ctx context.Context, forceStop <-chan struct{}) (context.Context, context.CancelFunc) {
	sending, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		backoff.Wait(sending, forceStop, finishTimeout)
		cancel(context.Cause(ctx))
	})
	return sending, func() {
		cancel(nil)
		if !stop() {
			<-ended
		}
	}
}

// publishBatch waits until the batch may follow the one before, and publishes it, until each copy
// is settled, for as long as something gets stored.
func (c *copier) publishBatch(ctx, sending context.Context) error {
	if err := c.pace.Await(ctx, len(c.batch.copies)); err != nil {
		return err
	}
	progress, pause := time.Now(), firstRetryPause
	for heads := c.batch.heads(); len(heads) > 0; heads = c.batch.heads() {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		some, err := c.publishOnce(sending, heads)
		if some {
			progress, pause = time.Now(), firstRetryPause
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, bus.ErrClosed), time.Since(progress) >= c.o.Patience:
			return fmt.Errorf("%w: those of events after %q are not known to be: %w", ErrNotCopied, c.batch.settledUpTo(c.read), err)
		}
		_ = backoff.Sleep(ctx, pause) // the next round says so
		pause = min(2*pause, longestRetryPause)
	}
	c.batch.clear()
	c.reportProgress()
	return nil
}

func (c *copier) reportProgress() {
	if c.o.Progress != nil {
		now, _ := c.result("", nil)
		c.o.Progress(now)
	}
}

// publishOnce publishes copies at once. It reports whether some are settled, stored or refused for
// good, and the first reason why another one is not.
func (c *copier) publishOnce(ctx context.Context, heads []int) (some bool, first error) {
	events := make([]bus.Event, len(heads))
	for i, at := range heads {
		events[i] = c.batch.copies[at].event
	}
	receipts, err := c.bus.Publish(ctx, events...)
	bus.RestoreDuplicates(ctx, c.bus, events, receipts)
	if len(receipts) != len(events) {
		return false, errors.Join(err, errors.New("the bus did not answer for every event"))
	}
	for i, r := range receipts {
		head := &c.batch.copies[heads[i]]
		switch {
		case r.Err == nil:
			c.replayed.Stored++
			if r.Duplicate {
				c.replayed.Duplicates++
			}
		case errors.Is(r.Err, bus.ErrTooLarge), errors.Is(r.Err, bus.ErrInvalidEvent):
			c.replayed.Refused++
			c.failed(head.at, fmt.Errorf("the copy of event %.128q is refused for good: %w", head.event.ID, r.Err))
		default:
			first = cmp.Or(first, r.Err)
			continue
		}
		some, head.settled = true, true
	}
	return some, first
}
