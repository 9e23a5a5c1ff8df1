package outbox

import (
	"context"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// loadPages reads pages of rows while there is room for them.
func (d *Drainer) loadPages(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		d.mu.Lock()
		ask, wait, ok := d.scheduler.nextAsk(time.Now())
		d.mu.Unlock()
		if !ok {
			backoff.Wait(ctx, d.loadSignal, wait)
			continue
		}
		call, cancel := context.WithTimeout(ctx, d.o.Lease)
		page, err := d.queue.Pending(call, ask)
		cancel()
		d.mu.Lock()
		d.scheduler.finishRead(page, err, time.Now())
		d.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		d.work.Signal()
		d.recordStoreCall("pending", err)
		if err == nil {
			failures = 0
			continue
		}
		failures++
		_ = backoff.Sleep(ctx, backoff.Doubled(retryBase, failures-1, retryMax))
	}
}

// watchStore has the store wake the loader, where it can.
func (d *Drainer) watchStore(ctx context.Context) {
	w, ok := d.queue.(Watcher)
	if !ok {
		return
	}
	for failures := 0; ctx.Err() == nil; failures++ {
		began := time.Now()
		err := w.Watch(ctx, d.Notify)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			failures = 0
		}
		d.o.Logger.Debug("outbox: the store no longer tells of new rows: asking it again", "error", err)
		_ = backoff.Sleep(ctx, backoff.Doubled(retryBase, failures, time.Minute))
	}
}
