package breaker

import (
	"context"
	"time"

	"github.com/onceish/onceish/flow"
)

// Shared is how the breakers of a group of processes know of each other. A process that hears of
// another's opening calls OpenFor. Calls may block until their context ends. They come from
// goroutines of the Breaker, several at once. The Breaker never repeats a call that failed.
type Shared interface {
	// Open says to the group that nothing is to start for d. It must not shorten what was said
	// before. It is called after the own breaker has opened.
	Open(ctx context.Context, d time.Duration, reason string) error
	// AcquireProbe leases the right to probe, which one process has at a time. ok is false, without
	// an error, while another has it; the Breaker asks again after a second. If it fails, the
	// Breaker probes without a lease. release gives the lease back; it bounds its own time. The
	// lease must end by itself if the process does.
	AcquireProbe(ctx context.Context) (release func(), ok bool, err error)
}

// leaseRetry is how long a process waits for its turn to probe before it asks again.
const leaseRetry = time.Second

// The methods below are called with mu held, and call Options.Shared without it.

func (b *Breaker) shareOpening(d time.Duration, reason string) {
	if b.o.Shared == nil {
		return
	}
	b.callShared(func(ctx context.Context) {
		if err := b.o.Shared.Open(ctx, d, reason); err != nil {
			b.o.Logger.Warn("breaker cannot tell its group that it opened; the other processes go on", "error", err)
		}
	})
}

func (b *Breaker) acquireProbe() {
	generation := b.generation
	b.callShared(func(ctx context.Context) {
		release, ok, err := b.o.Shared.AcquireProbe(ctx)
		b.mu.Lock()
		defer b.mu.Unlock()
		switch {
		case b.closed || b.generation != generation || b.state != Open: // it is too late
			b.giveBack(release)
		case err != nil:
			b.o.Logger.Warn("breaker cannot lease its probe; probing without a lease", "error", err)
			b.halfOpen(nil)
		case !ok:
			b.wake(time.Now().Add(leaseRetry))
		default:
			b.halfOpen(release)
		}
	})
}

// yieldProbe lets another process probe if nothing has come of the probe here. Its result still
// counts. The others, who ask every leaseRetry, ask before this process does.
func (b *Breaker) yieldProbe() {
	b.dropLease()
	b.inside = new(int)
	until := time.Now().Add(2 * leaseRetry)
	b.wake(until)
	b.change(Open, flow.Capacity{Until: until, Reason: "breaker open: no run has probed the receiver in time"})
}

func (b *Breaker) dropLease() {
	b.giveBack(b.releaseLease)
	b.releaseLease = nil
}

func (b *Breaker) giveBack(release func()) {
	if release != nil {
		b.calls.Go(release)
	}
}

func (b *Breaker) callShared(call func(context.Context)) {
	if b.closed {
		return
	}
	b.calls.Go(func() {
		ctx, cancel := context.WithTimeout(b.ctx, b.o.SharedTimeout)
		defer cancel()
		call(ctx)
	})
}
