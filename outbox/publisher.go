package outbox

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/onceish/onceish/bus"
)

// publish publishes batches, one at a time: each is what is ready when the last one was answered.
func (d *Drainer) publish(ctx context.Context, leave func()) {
	for batch := d.take(); batch != nil; batch = d.take() {
		events := make([]bus.Event, len(batch))
		for i, it := range batch {
			events[i] = it.row.outgoing()
		}
		receipts, err := d.to.Publish(ctx, events...)
		d.mu.Lock()
		notes := d.board.published(batch, receipts, err, time.Now(), rand.Float64)
		d.after(leave)
		d.mu.Unlock()
		d.settles.send()
		d.log(notes)
	}
}

// take waits for rows that may be published. Nil: there are none any more.
func (d *Drainer) take() []*item {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &d.board
	for !b.closing {
		batch := b.take(time.Now())
		if b.rotation.early {
			d.loads.send() // to look for what was put back, in time
		}
		if len(batch) > 0 {
			if len(b.ready) > 0 {
				d.work.Signal()
			}
			return batch
		}
		d.work.Wait()
	}
	return nil
}

// after wakes those for whom a batch has changed something.
func (d *Drainer) after(leave func()) {
	b := &d.board
	if b.closed != nil {
		leave()
	}
	if b.outage.failures > 0 {
		d.retry.Reset(time.Until(b.outage.until))
	}
	if b.wantsLoad() {
		d.loads.send()
	}
	if b.hasWound() {
		d.keeps.send()
	}
}

func (d *Drainer) log(notes []note) {
	for _, n := range notes {
		level := slog.LevelWarn
		switch {
		case n.serious:
			level = slog.LevelError
		case n.err == nil:
			level = slog.LevelInfo
		}
		d.o.Logger.Log(context.Background(), level, "outbox: "+n.text, n.attributes()...)
	}
}
