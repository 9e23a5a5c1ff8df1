package outbox

import (
	"context"
	"time"
)

// keepLeases takes and renews partitions until settled is closed, and then gives all back.
func (d *Drainer) keepLeases(ctx context.Context, settled <-chan struct{}) {
	for {
		wait := d.acquireLeases(ctx)
		timer := time.NewTimer(wait)
		for waiting := true; waiting; {
			select {
			case <-timer.C:
				waiting = false
			case <-d.leaseSignal:
				d.releaseEnding(ctx)
			case <-settled:
				timer.Stop()
				d.releaseAll(ctx)
				return
			}
		}
		d.releaseEnding(ctx)
	}
}

// acquireLeases renews what this drainer has, and returns when to do it again.
func (d *Drainer) acquireLeases(ctx context.Context) time.Duration {
	sent := time.Now()
	call, cancel := context.WithTimeout(ctx, d.o.Lease/2)
	leases, err := d.queue.Acquire(call, d.o.Owner, d.o.Lease)
	cancel()
	d.recordStoreCall("acquire", err)
	if err != nil {
		return min(d.o.Lease/10, retryMax)
	}
	d.mu.Lock()
	fresh := d.scheduler.adoptLeases(leases, sent)
	if fresh {
		d.scheduler.scanner.rescanNow = true
	}
	if d.scheduler.unmarkedCount == 0 {
		delete(d.failingCalls, "settle") // what could not be marked is gone
	}
	if len(d.scheduler.hashRanges()) == 0 {
		delete(d.failingCalls, "pending") // nothing is to be read
	}
	d.mu.Unlock()
	if fresh {
		d.loadSignal.send()
	}
	d.work.Broadcast()
	d.markSignal.send()
	return max(0, d.o.Lease/3-time.Since(sent))
}

// releaseEnding releases partitions that end, once nothing of them is on its way.
func (d *Drainer) releaseEnding(ctx context.Context) {
	d.mu.Lock()
	leases := d.scheduler.releasableLeases()
	for _, l := range leases {
		d.scheduler.losePartition(d.scheduler.partitions[l.Partition])
	}
	d.mu.Unlock()
	if len(leases) == 0 {
		return
	}
	d.releaseLeases(ctx, leases, d.o.Lease/2)
}

// releaseAll releases all. What fails ends by itself.
func (d *Drainer) releaseAll(ctx context.Context) {
	d.mu.Lock()
	leases := make([]Lease, 0, len(d.scheduler.partitions))
	for _, p := range d.scheduler.partitions {
		leases = append(leases, p.lease)
	}
	d.mu.Unlock()
	d.releaseLeases(context.WithoutCancel(ctx), leases, min(d.o.Lease/2, 5*time.Second))
}

func (d *Drainer) releaseLeases(ctx context.Context, leases []Lease, within time.Duration) {
	call, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := d.queue.Release(call, d.o.Owner, leases); err != nil {
		d.o.Logger.Warn("outbox: the partitions were not given back: others take them when their leases end", "error", err)
	}
}
