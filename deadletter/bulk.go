package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/backoff"
)

// BulkOptions of RedriveAll and DropAll. The zero value means the defaults.
type BulkOptions struct {
	// ToGroup (RedriveAll) is the group to redrive for. Default: the one that gave the event up.
	ToGroup string
	// Limit is how many letters are changed at most. Default: all.
	Limit int
	// PerSecond is how many letters are changed in a second at most. Default: as many as possible.
	PerSecond float64
	// Failed is called for each letter that was not changed, and each event that is no letter. Nil:
	// nobody is.
	Failed func(l *Letter, err error)
	// Progress is called after each batch. Nil: nobody is.
	Progress func(Bulk)
}

// Bulk is what became of letters.
type Bulk struct {
	// Done letters are redriven or dropped. Gone ones were there when they were listed, and not any
	// more: somebody else was faster. Failed ones are still there.
	Done, Gone, Failed int
}

// batchSize is how many letters are changed at once, and failuresInARow after how many failures
// without a success a bulk change stops.
const (
	batchSize      = 128
	failuresInARow = 20
)

// RedriveAll redrives the letters that a filter selects, as Redrive. It looks at the letters that
// there are when it begins: what fails again meanwhile is not redriven twice. When it was
// interrupted, a repeated call goes on, for what was redriven is gone. An error ends it before all
// letters were looked at: ctx has ended, the bus has failed, or 20 letters in a row; beside letters
// that failed there is none.
func (t *Topic) RedriveAll(ctx context.Context, store dedupe.Reopener, f Filter, o *BulkOptions) (Bulk, error) {
	opts := cmp.Or(o, &BulkOptions{})
	return changeAll(ctx, t.list(ctx, f, bus.Position{}, true), opts, func(letters []Letter) []error {
		return t.Redrive(ctx, store, opts.ToGroup, letters...)
	})
}

// DropAll drops the letters that a filter selects, as Drop. It ends as RedriveAll does.
func (t *Topic) DropAll(ctx context.Context, f Filter, o *BulkOptions) (Bulk, error) {
	return changeAll(ctx, t.List(ctx, f, bus.Position{}), cmp.Or(o, &BulkOptions{}), func(letters []Letter) []error { return t.Drop(ctx, letters...) })
}

// bulkChange changes letters by batches.
type bulkChange struct {
	o      *BulkOptions
	change func([]Letter) []error
	start  time.Time
	batch  []Letter
	taken  int
	row    int // failures without a success
	bulk   Bulk
}

func changeAll(ctx context.Context, letters iter.Seq2[Letter, error], o *BulkOptions, change func([]Letter) []error) (Bulk, error) {
	if o.Limit < 0 || o.PerSecond < 0 {
		return Bulk{}, fmt.Errorf("BulkOptions.Limit is %d and BulkOptions.PerSecond %v: they must be 0 or above", o.Limit, o.PerSecond)
	}
	c := &bulkChange{o: o, change: change, start: time.Now()}
	size := batchSize
	if o.PerSecond > 0 {
		size = min(size, max(1, int(o.PerSecond/10)))
	}
	for l, err := range letters {
		switch {
		case errors.Is(err, consumer.ErrNotLetter), errors.Is(err, consumer.ErrLetterPart):
			c.recordFailed(&l, err)
			continue
		case err != nil:
			return c.bulk, err
		}
		c.batch = append(c.batch, l)
		c.taken++
		full := c.taken == o.Limit
		if len(c.batch) < size && !full {
			continue
		}
		if err := c.changeBatch(ctx); err != nil || full {
			return c.bulk, err
		}
	}
	return c.bulk, c.changeBatch(ctx)
}

// changeBatch changes what was collected, and waits until the next letters may follow.
func (c *bulkChange) changeBatch(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil || len(c.batch) == 0 {
		return err
	}
	var last error
	for i, err := range c.change(c.batch) {
		switch {
		case err == nil:
			c.bulk.Done++
			c.row = 0
		case errors.Is(err, bus.ErrNoEvent):
			c.bulk.Gone++
		default:
			last = err
			c.row++
			c.recordFailed(&c.batch[i], err)
		}
	}
	c.batch = c.batch[:0]
	if c.o.Progress != nil {
		c.o.Progress(c.bulk)
	}
	if c.row >= failuresInARow {
		return fmt.Errorf("the last %d letters failed: %w", c.row, last)
	}
	if c.o.PerSecond <= 0 {
		return context.Cause(ctx)
	}
	return backoff.Sleep(ctx, time.Until(c.start.Add(time.Duration(float64(c.taken)/c.o.PerSecond*float64(time.Second)))))
}

func (c *bulkChange) recordFailed(l *Letter, err error) {
	c.bulk.Failed++
	if c.o.Failed != nil {
		c.o.Failed(l, err)
	}
}
