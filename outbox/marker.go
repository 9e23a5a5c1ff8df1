package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// markResults marks what was published, as it accumulates, until published is closed and
// nothing is left.
func (d *Drainer) markResults(ctx context.Context, published <-chan struct{}) {
	failures := 0
	for last := false; ctx.Err() == nil; {
		d.mu.Lock()
		batch, rs := d.scheduler.nextResults(time.Now())
		left := d.scheduler.unmarkedCount
		d.mu.Unlock()
		switch {
		case len(batch) > 0 && d.markBatch(ctx, batch, rs):
			failures = 0
			continue
		case len(batch) > 0:
			_ = backoff.Sleep(ctx, backoff.Doubled(retryBase, failures, retryMax))
			failures++
			continue
		case last && left == 0:
			return
		}
		select {
		case <-d.markSignal:
		case <-published:
			last, published = true, nil
		case <-ctx.Done():
		}
	}
}

// markBatch settles a batch. False: it has to be repeated.
func (d *Drainer) markBatch(ctx context.Context, batch []*trackedRow, rs []Result) bool {
	call, cancel := context.WithTimeout(ctx, d.o.Lease)
	defer cancel()
	oks, err := d.queue.Settle(call, rs)
	if err == nil && len(oks) != len(rs) {
		err = fmt.Errorf("%d answers to %d results", len(oks), len(rs))
	}
	d.recordStoreCall("settle", err)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.scheduler.requeueResults(batch)
		return false
	}
	d.scheduler.recordMarked(batch, oks, time.Now())
	d.wakeOthers(func() {})
	d.work.Signal() // there may have been too much to mark
	return true
}
