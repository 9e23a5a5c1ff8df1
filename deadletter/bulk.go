package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

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
	// more: somebody else was faster. Failed ones are still there. Superseded ones were edited
	// since, and are deleted with their edits: a redrive passes over them.
	Done, Gone, Failed, Superseded int
}

// batchSize is how many letters are changed at once; the letters of one batch are deleted while the
// next one is published. failuresInARow is after how many failures without a success a bulk change
// stops.
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
	r := &redrive{t: t, store: store, toGroup: opts.ToGroup, edits: edits{t: t}}
	return changeAll(ctx, t.list(ctx, f, bus.Position{}, true), opts, func(letters []Letter) ([]error, func()) {
		return r.publishCopies(ctx, letters)
	})
}

// DropAll drops the letters that a filter selects, as Drop. It ends as RedriveAll does.
func (t *Topic) DropAll(ctx context.Context, f Filter, o *BulkOptions) (Bulk, error) {
	return changeAll(ctx, t.List(ctx, f, bus.Position{}), cmp.Or(o, &BulkOptions{}), func(letters []Letter) ([]error, func()) {
		errs := make([]error, len(letters))
		return errs, func() { copy(errs, t.Drop(ctx, letters...)) }
	})
}

// bulkChange changes letters by batches.
type bulkChange struct {
	o      *BulkOptions
	change batchStep
	pace   backoff.Pace
	batch  []Letter
	taken  int
	row    int   // failures without a success
	last   error // the last failure
	bulk   Bulk

	finishing []Letter // the batch that is being finished
	errs      []error  // of it
	finished  chan struct{}
}

// batchStep does the first part of the change of a batch. finish does the rest for the letters that
// have no error yet, and sets their errors.
type batchStep func([]Letter) (errs []error, finish func())

func changeAll(ctx context.Context, letters iter.Seq2[Letter, error], o *BulkOptions, change batchStep) (Bulk, error) {
	if o.Limit < 0 || o.PerSecond < 0 {
		return Bulk{}, fmt.Errorf("BulkOptions.Limit is %d and BulkOptions.PerSecond %v: they must be 0 or above", o.Limit, o.PerSecond)
	}
	c := &bulkChange{o: o, change: change, pace: backoff.Pace{PerSecond: o.PerSecond}}
	err := c.changeLetters(ctx, letters)
	err = cmp.Or(c.awaitFinished(), err)
	return c.bulk, err
}

func (c *bulkChange) changeLetters(ctx context.Context, letters iter.Seq2[Letter, error]) error {
	size := batchSize
	if c.o.PerSecond > 0 {
		size = min(size, max(1, int(c.o.PerSecond/10)))
	}
	for l, err := range letters {
		switch {
		case errors.Is(err, consumer.ErrNotLetter), errors.Is(err, consumer.ErrLetterPart):
			c.recordFailed(&l, err)
			continue
		case err != nil:
			return err
		}
		c.batch = append(c.batch, l)
		c.taken++
		full := c.taken == c.o.Limit
		if len(c.batch) < size && !full {
			continue
		}
		if err := c.changeBatch(ctx); err != nil || full {
			return err
		}
	}
	return c.changeBatch(ctx)
}

// changeBatch waits until the next letters may follow, and changes what was collected.
func (c *bulkChange) changeBatch(ctx context.Context) error {
	if len(c.batch) == 0 {
		return context.Cause(ctx)
	}
	if err := c.pace.Await(ctx, len(c.batch)); err != nil {
		return err
	}
	letters := c.batch
	c.batch = nil
	errs, finish := c.change(letters)
	nothingLeft := !slices.Contains(errs, nil)
	ended := c.awaitFinished()
	c.finishing, c.errs, c.finished = letters, errs, make(chan struct{})
	go func() {
		defer close(c.finished)
		finish()
	}()
	switch {
	case ended != nil:
		return ended
	case c.o.PerSecond > 0 || nothingLeft:
		return c.awaitFinished()
	}
	return context.Cause(ctx)
}

// awaitFinished waits for the batch that is being finished, if there is one, and counts what became
// of it.
func (c *bulkChange) awaitFinished() error {
	if c.finishing == nil {
		return nil
	}
	<-c.finished
	letters, errs := c.finishing, c.errs
	c.finishing = nil
	for i, err := range errs {
		switch {
		case err == nil:
			c.bulk.Done++
			c.row = 0
		case errors.Is(err, bus.ErrNoEvent):
			c.bulk.Gone++
		case errors.Is(err, ErrSuperseded):
			c.bulk.Superseded++
		default:
			c.last = err
			c.row++
			c.recordFailed(&letters[i], err)
		}
	}
	if c.o.Progress != nil {
		c.o.Progress(c.bulk)
	}
	if c.row >= failuresInARow {
		return fmt.Errorf("the last %d letters failed: %w", c.row, c.last)
	}
	return nil
}

func (c *bulkChange) recordFailed(l *Letter, err error) {
	c.bulk.Failed++
	if c.o.Failed != nil {
		c.o.Failed(l, err)
	}
}
