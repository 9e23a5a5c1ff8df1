package outbox

import (
	"context"
	"time"
)

// keep takes and renews partitions until settled is closed, and then gives all back.
func (d *Drainer) keep(ctx context.Context, settled <-chan struct{}) {
	for {
		wait := d.acquire(ctx)
		timer := time.NewTimer(wait)
		for waiting := true; waiting; {
			select {
			case <-timer.C:
				waiting = false
			case <-d.keeps:
				d.giveBack(ctx)
			case <-settled:
				timer.Stop()
				d.leave(ctx)
				return
			}
		}
		d.giveBack(ctx)
	}
}

// acquire renews what this drainer has, and returns when to do it again.
func (d *Drainer) acquire(ctx context.Context) time.Duration {
	sent := time.Now()
	call, cancel := context.WithTimeout(ctx, d.o.Lease/2)
	leases, err := d.queue.Acquire(call, d.o.Owner, d.o.Lease)
	cancel()
	d.troubled("acquire", err)
	if err != nil {
		return min(d.o.Lease/10, retryMax)
	}
	d.mu.Lock()
	fresh := d.board.adopt(leases, sent)
	if fresh {
		d.board.rotation.woken = true
	}
	if d.board.marking == 0 {
		delete(d.trouble, "settle") // what could not be marked is gone
	}
	if len(d.board.spans()) == 0 {
		delete(d.trouble, "pending") // nothing is to be read
	}
	d.mu.Unlock()
	if fresh {
		d.loads.send()
	}
	d.work.Broadcast()
	d.settles.send()
	return max(0, d.o.Lease/3-time.Since(sent))
}

// giveBack releases partitions that end, once nothing of them is on its way.
func (d *Drainer) giveBack(ctx context.Context) {
	d.mu.Lock()
	leases := d.board.wound()
	for _, l := range leases {
		d.board.lose(d.board.parts[l.Partition])
	}
	d.mu.Unlock()
	if len(leases) == 0 {
		return
	}
	d.release(ctx, leases, d.o.Lease/2)
}

// leave releases all. What fails ends by itself.
func (d *Drainer) leave(ctx context.Context) {
	d.mu.Lock()
	leases := make([]Lease, 0, len(d.board.parts))
	for _, p := range d.board.parts {
		leases = append(leases, p.lease)
	}
	d.mu.Unlock()
	d.release(context.WithoutCancel(ctx), leases, min(d.o.Lease/2, 5*time.Second))
}

func (d *Drainer) release(ctx context.Context, leases []Lease, within time.Duration) {
	call, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := d.queue.Release(call, d.o.Owner, leases); err != nil {
		d.o.Logger.Warn("outbox: the partitions were not given back: others take them when their leases end", "error", err)
	}
}
