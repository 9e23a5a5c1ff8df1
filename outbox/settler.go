package outbox

import (
	"context"
	"time"
)

// settle marks what was published, as it accumulates, until published is closed and nothing is left.
func (d *Drainer) settle(ctx context.Context, published <-chan struct{}) {
	for last := false; ctx.Err() == nil; {
		d.mu.Lock()
		batch, rs := d.board.toSettle()
		d.mu.Unlock()
		switch {
		case len(batch) > 0:
			d.mark(ctx, batch, rs)
			continue
		case last:
			return
		}
		select {
		case <-d.settles:
		case <-published:
			last = true
		case <-ctx.Done():
		}
	}
}

// mark settles a batch: again until it is stored or was lost.
func (d *Drainer) mark(ctx context.Context, batch []*item, rs []Result) {
	for failures := 0; len(batch) > 0; failures++ {
		call, cancel := context.WithTimeout(ctx, d.o.Lease)
		oks, err := d.queue.Settle(call, rs)
		cancel()
		d.troubled("settle", err)
		if err == nil && len(oks) == len(rs) {
			d.mu.Lock()
			d.board.settled(batch, oks, time.Now())
			d.after(func() {})
			d.mu.Unlock()
			d.loads.send()
			d.work.Signal() // there may have been too much to mark
			return
		}
		if !rest(ctx, nil, doubled(retryBase, failures, retryMax)) {
			return
		}
		d.mu.Lock()
		batch, rs = again(batch)
		d.mu.Unlock()
	}
}
