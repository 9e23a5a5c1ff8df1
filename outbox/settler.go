package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// settle marks what was published, as it accumulates, until published is closed and
// nothing is left.
func (d *Drainer) settle(ctx context.Context, published <-chan struct{}) {
	failures := 0
	for last := false; ctx.Err() == nil; {
		d.mu.Lock()
		batch, rs := d.board.toSettle(time.Now())
		left := d.board.marking
		d.mu.Unlock()
		switch {
		case len(batch) > 0 && d.mark(ctx, batch, rs):
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
		case <-d.settles:
		case <-published:
			last, published = true, nil
		case <-ctx.Done():
		}
	}
}

// mark settles a batch. False: it has to be repeated.
func (d *Drainer) mark(ctx context.Context, batch []*item, rs []Result) bool {
	call, cancel := context.WithTimeout(ctx, d.o.Lease)
	defer cancel()
	oks, err := d.queue.Settle(call, rs)
	if err == nil && len(oks) != len(rs) {
		err = fmt.Errorf("%d answers to %d results", len(oks), len(rs))
	}
	d.troubled("settle", err)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.board.unmarked(batch)
		return false
	}
	d.board.settled(batch, oks, time.Now())
	d.after(func() {})
	d.work.Signal() // there may have been too much to mark
	return true
}
