package outbox

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/onceish/onceish/bus"
)

// publishBatches publishes batches, one at a time: each is what is ready when the last one
// was answered.
func (d *Drainer) publishBatches(ctx context.Context, leave func()) {
	for batch := d.takeBatch(); batch != nil; batch = d.takeBatch() {
		events := make([]bus.Event, len(batch))
		for i, it := range batch {
			events[i] = it.row.outgoingEvent()
		}
		receipts, err := d.publisher.Publish(ctx, events...)
		d.mu.Lock()
		notes := d.scheduler.recordReceipts(batch, receipts, err, time.Now(), rand.Float64)
		d.wakeOthers(leave)
		d.mu.Unlock()
		d.markSignal.send()
		d.logEntries(notes)
	}
}

// takeBatch waits for rows that may be published. Nil: there are none any more.
func (d *Drainer) takeBatch() []*trackedRow {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &d.scheduler
	for !b.draining {
		batch := b.nextBatch(time.Now())
		if b.scanner.nextScanMovedUp {
			d.loadSignal.send() // to look for what was put back, in time
		}
		if len(batch) > 0 {
			if len(b.readyRows) > 0 {
				d.work.Signal()
			}
			return batch
		}
		d.work.Wait()
	}
	return nil
}

// wakeOthers wakes those for whom a batch has changed something.
func (d *Drainer) wakeOthers(leave func()) {
	b := &d.scheduler
	if b.busClosed != nil {
		leave()
	}
	if b.outage.failures > 0 {
		d.retryTimer.Reset(time.Until(b.outage.until))
	}
	if b.wantsRead() {
		d.loadSignal.send()
	}
	if b.endingCount > 0 && len(b.releasableLeases()) > 0 {
		d.leaseSignal.send()
	}
}

func (d *Drainer) logEntries(notes []logEntry) {
	for _, n := range notes {
		level := slog.LevelWarn
		switch {
		case n.isError:
			level = slog.LevelError
		case n.err == nil:
			level = slog.LevelInfo
		}
		d.o.Logger.Log(context.Background(), level, "outbox: "+n.text, n.logAttributes()...)
	}
}
